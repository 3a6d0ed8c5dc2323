"""What every command stands on: its config, params.yaml, places on disk, files that appear whole, names of runs."""

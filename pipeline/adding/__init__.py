"""A dataset or an encoder from a command line: its YAML, checked as its stages would, and its name in params.yaml."""

"""The field's benchmarks as they are published: their layouts on disk -> a listing."""

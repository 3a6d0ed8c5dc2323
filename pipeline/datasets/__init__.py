"""Layouts on disk -> a manifest."""

"""Benchmarks: each compares ways to do the same work in one run, and prints ratios."""

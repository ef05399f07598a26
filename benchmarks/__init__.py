"""Measurements: `make bench` runs all of them and writes benchmarks/results."""

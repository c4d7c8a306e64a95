"""Benchmarks of the library beside its peers: ``python -m benchmarks``."""

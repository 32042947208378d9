"""Benchmarks of the runner itself: `make bench`. Ratios within one run; never part of the tests."""

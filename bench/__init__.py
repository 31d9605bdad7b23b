"""Benchmarks: ours beside the peers, in one run, on the same core, model and payload."""

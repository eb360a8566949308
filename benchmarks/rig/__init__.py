"""What the benchmarks share: the load, the processes that they measure, and a plain loop."""

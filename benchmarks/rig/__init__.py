"""What the benchmarks share: the load, the processes that they measure, and the plain loop to
compare with.
"""

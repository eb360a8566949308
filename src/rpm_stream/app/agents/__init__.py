"""The two stateful Faust agents.

The outputs of some slices of work are made durable first, then the states, and then the batches
whose records are all done are acked (``slices.py``).
"""

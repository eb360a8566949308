"""The two stateful Faust agents.

For each batch the outputs are made durable first, then the states, and then the batch is acked
(CONTRACT 2).
"""

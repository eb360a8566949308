"""More partitions: the topics grow in place, and every key's state, alerts and entries move to its
new partition.

``app/kafka/growth_journal.py``: how far it has come, on the broker, which every stage looks at
before it starts. ``queues``: what waits in the queues, taken in its order. ``keyed``: the compacted
topics. ``grow``: the steps in their order. ``groups_and_copies``: what they ask of the broker.
"""

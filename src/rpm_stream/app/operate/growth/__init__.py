"""Adds partitions: topics grow in place, and the records of every key move to its new partition.

``app/kafka/growth_journal.py`` keeps the progress on the broker, and every stage reads it before it
starts. ``queues`` moves what waits in the queues, in its order. ``keyed`` moves the compacted
topics. ``grow`` has the steps in their order. ``groups_and_copies`` has their requests to the
broker.
"""

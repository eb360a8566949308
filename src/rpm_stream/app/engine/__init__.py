"""Faust, made exact: subclasses that close the ways in which it loses, doubles or stalls messages.
No monkeypatching.

faust-streaming 0.15.3 and aiokafka 0.14 are pinned because this package leans on their internals.
What is changed:
- one event carries all records of a partition from one fetch, so Faust's cost is per fetch, not per
  message;
- nothing decodes a record before the agent does: a poison record cannot ack itself or restart the
  agent;
- a commit never passes an un-acked batch, and a failed commit is tried again;
- aiokafka is never given Faust's live partition set, which reads as "all partitions" once it is
  empty;
- each partition's records are checked to be contiguous: a skipped record ends the process instead
  of the data;
- the producer is idempotent; recovery reads whole fetches. Group membership, assignment, rebalance,
  commit loop, changelog topics and the recovery protocol stay Faust's own.
"""

"""Faust, made exact: subclasses that close the ways in which it loses, doubles or stalls messages.

There is no monkeypatching. faust-streaming 0.15.3 and aiokafka 0.14 are pinned because this package
depends on their internals. The changes are:

- One event carries all records of a partition from one fetch, so Faust's cost is per fetch, not per
message.
- Nothing decodes a record before the agent does. A poison record cannot ack itself or restart the
agent.
- A commit never passes an un-acked batch, and a failed commit is tried again.
- aiokafka is never given Faust's live partition set, which reads as "all partitions" once it is
empty.
- Each partition's records are checked to be contiguous. A skipped record ends the process instead
of being lost.
- The producer is idempotent.
- Recovery reads whole fetches.

Group membership, assignment, rebalance, commit loop, changelog topics and the recovery protocol
stay Faust's own.
"""

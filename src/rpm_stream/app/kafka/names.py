"""Names that several processes share: the topics, headers, and the agents' consumer groups."""

from __future__ import annotations

from typing import Final

FRAMES: Final = "rpm.frames"
READINGS: Final = "rpm.readings"
SCORES: Final = "rpm.scores"
ALERTS: Final = "rpm.alerts"
OBSERVATIONS: Final = "rpm.observations"
ACTIONS: Final = "rpm.actions"
REGISTRY: Final = "rpm.registry"
ACCOUNTS: Final = "rpm.accounts"
REJECTS: Final = "rpm.rejects"

TOPICS: Final = (
    FRAMES,
    READINGS,
    SCORES,
    ALERTS,
    OBSERVATIONS,
    ACTIONS,
    REGISTRY,
    ACCOUNTS,
    REJECTS,
)

REDRIVEN: Final = "rpm-redriven"  # header of a frame that the service sent again, out of its order
# header of a record that was copied to its key's partition: its place before, "partition:offset"
MOVED: Final = "rpm-moved"

GROUP_INGEST: Final = "rpm-ingest"
GROUP_JUDGE: Final = "rpm-judge"
GROUP_SINK: Final = "rpm-sink"

# Private topics: Faust's topics for each agent's state, and the progress of `topics grow`.
STATE_INGEST: Final = f"{GROUP_INGEST}-state-changelog"
STATE_JUDGE: Final = f"{GROUP_JUDGE}-state-changelog"
GROWTH: Final = "rpm-growth"

# Each queue with the group that reads it. No stage reads the other topics.
QUEUES: Final = (
    (FRAMES, GROUP_INGEST),
    (ACTIONS, GROUP_INGEST),
    (READINGS, GROUP_JUDGE),
    (OBSERVATIONS, GROUP_SINK),
)
OPTIONAL_GROUPS: Final = (GROUP_SINK,)  # without a FHIR server it does not run
# The two agents that the feed depends on, each with its input topics.
GROUPS: Final = {GROUP_INGEST: (FRAMES, ACTIONS), GROUP_JUDGE: (READINGS,)}

"""Names on the wire that more than one process must agree on: the topics, a header, the agents'
consumer groups.
"""

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

REDRIVEN: Final = "rpm-redriven"  # header of a frame that we sent again, out of its order
# header of a record that we copied to its key's partition: "partition:offset" it had before
MOVED: Final = "rpm-moved"

GROUP_INGEST: Final = "rpm-ingest"
GROUP_JUDGE: Final = "rpm-judge"
GROUP_SINK: Final = "rpm-sink"

# Ours alone: where Faust keeps each agent's state, and how far `topics grow` has come.
STATE_INGEST: Final = f"{GROUP_INGEST}-state-changelog"
STATE_JUDGE: Final = f"{GROUP_JUDGE}-state-changelog"
GROWTH: Final = "rpm-growth"

# The two agents that must keep up for the feed to be true, each with the topics that it works
# through.
GROUPS: Final = {GROUP_INGEST: (FRAMES, ACTIONS), GROUP_JUDGE: (READINGS,)}

"""An agent's step on a record, with the state of its key, or the outputs that replace the step.

A key whose state cannot be restored is held (``holding.py``): its records are passed over. A record
whose key's state is in another partition is passed on to that partition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.holding import Holding
from rpm_stream.app.agents.states import KeyedStates, UnreadableState
from rpm_stream.app.engine.application import Copy, Outgoing
from rpm_stream.app.kafka.moved import headers_of

State = TypeVar("State")
Detour = Callable[[ConsumerRecord], list[Outgoing] | None]


class StateSteps(Generic[State]):
    """Runs steps on the states of one agent.

    ``elsewhere`` returns the outputs that replace the step, for a record whose key's state is in
    another partition. ``too_large`` does so for a record that is too large to be copied.
    """

    def __init__(self, states: KeyedStates[State], holding: Holding) -> None:
        self.states = states
        self.holding = holding
        self.elsewhere: Detour = lambda _: None
        self.too_large: Detour = lambda _: None

    def passed_on(self, record: ConsumerRecord) -> list[Outgoing] | None:
        """Return the outputs that replace the step, or None for a record in its key's partition.

        The kept messages of a held key are known by the offsets of one partition. So a message in
        another partition is copied there too.
        """
        kept = self.holding.kept.get(record.key or b"")
        if kept is None:
            return self.elsewhere(record)
        if kept.partition == record.partition:
            return None
        place = (record.topic, record.key, record.value or b"", kept.partition)
        return self.too_large(record) or [Copy(place, headers_of(record))]

    def apply(
        self, step: Callable[[State, ConsumerRecord], list[Outgoing] | None], record: ConsumerRecord
    ) -> list[Outgoing] | None:
        """Return the outputs of ``step``, or None for a record that the state has applied before.

        The record of a held key is passed over.
        """
        if (key := record.key or b"") in self.holding:
            return self.holding.pass_over(record)
        try:
            state = self.states.get(key, record.partition)
        except UnreadableState as one:  # a fault that the check of its seal did not find
            self.holding.hold(one, record.offset)
            return self.holding.pass_over(record) or []
        return step(state, record)

    def change(
        self, step: Callable[[State], list[Outgoing]], key: bytes, partition: int, following: int
    ) -> list[Outgoing] | None:
        """Return the outputs of ``step`` without a record, or None where nothing is to be written.

        ``following`` is the next offset to apply of the partition.
        """
        if key in self.holding:
            return None
        try:
            return step(self.states.get(key, partition)) or None
        except UnreadableState as one:  # no delivered and unapplied message is before this offset
            self.holding.hold(one, following)
            return []

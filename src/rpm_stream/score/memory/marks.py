"""Small marks of a patient's state: calm members, and the scores that were written last."""

from __future__ import annotations

from datetime import datetime, timedelta

from rpm_stream.score.memory.state import Calm, Emitted, ScoreState

EMIT_EVERY = timedelta(minutes=5)  # how often an unchanged score of a continuous vital is written


def note_calm(state: ScoreState, member: str, at: datetime, calm: bool) -> None:
    """Continue, begin or end a member's time inside its recovery limit."""
    if not calm:
        state.calm.pop(member, None)
    elif (known := state.calm.get(member)) is None:
        state.calm[member] = Calm(since=at, until=at)
    elif at > known.until:
        known.until = at


def note_calm_for(state: ScoreState, member: str, since: datetime, until: datetime) -> None:
    """Carry on or begin a member's time inside its recovery limit, from one reading to a later
    one.
    """
    note_calm(state, member, since, calm=True)
    note_calm(state, member, until, calm=True)


def emits(state: ScoreState, name: str, at: datetime, content: str) -> bool:
    """Whether a score is worth a record because it changed or enough time has passed.

    Its time is noted if so.
    """
    last = state.emitted.get(name)
    if last is not None and last.content == content and last.at <= at < last.at + EMIT_EVERY:
        return False
    if last is None or at >= last.at:
        state.emitted[name] = Emitted(at=at, content=content)
    return True

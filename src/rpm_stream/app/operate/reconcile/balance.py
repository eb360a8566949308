"""The rules of the books: what each frame, reading and summary owes to the later topics.

The obligations are those of CONTRACT 6. This module only compares counts. It reads no topic and
keeps no record. A fault names what is missing and how many parts of it, never a value or a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec

from rpm_stream.knowledge import Knowledge
from rpm_stream.publish.fhir.ids import summary_id
from rpm_stream.publish.fhir.observation import Policy, publishes
from rpm_stream.publish.fhir.summaries import GRACE_SECONDS
from rpm_stream.publish.windows import SPAN_SECONDS, place_of
from rpm_stream.records import Account, Reading, Record

Imbalance = Literal[
    "no_account",
    "account_unbalanced",
    "readings_missing",
    "readings_too_many",
    "rejects_missing",
    "rejects_too_many",
    "no_observation",
    "summary_missing",
    "summary_too_small",
    "summary_too_large",
    "two_contents",
    "unreadable",
]
UUID_PREFIX = "urn:uuid:"
# FHIR's statuses of a record that was corrected after it was written. A different content under the
# same id is then intended.
IN_ERROR = "entered-in-error"
PUT_RIGHT = frozenset({"corrected", "amended", IN_ERROR})


class BalanceFault(Record, frozen=True, kw_only=True):
    """A thing that does not balance.

    ``parts`` are missing, or too many, and ``why`` explains it.
    """

    kind: Imbalance
    parts: int
    why: str


class WindowCounts(Record, frozen=True, kw_only=True):
    """One 15-minute window of one patient and vital, counted from the topics.

    The topics hold the following of it:

    - ``judged``: readings that must have a place in the window.
    - ``waiting``: readings that the judge has not reached yet. They may be in the window.
    - ``single``: judged readings with an Observation of their own, as evidence or because they came
      too late for the window.
    - ``taken_back``: judged readings that were withdrawn or could not be judged.
    - ``also_seen``: judged readings of a measurement that had already come once. They may be
      missing in ``n``.
    - ``n``: the summary's own count, None if there is no summary.
    - ``whole``: whether no reading of the window can lie outside these books.
    """

    judged: int
    waiting: int
    single: int
    taken_back: int
    n: int | None
    whole: bool
    also_seen: int = 0


class DuePublication(Record, frozen=True, kw_only=True):
    """How a reading must be published.

    For the policy "summary" it has the id of the summary and the start of its window.
    """

    policy: Policy
    summary: str | None = None
    start: datetime | None = None


class ObservationFacts(Record, frozen=True, kw_only=True):
    """The content of an Observation, as far as the books need it.

    ``readings`` are the ids of the readings in it, none for a summary. ``n`` is the count of a
    summary. A summary that was entered in error does not count, so its ``n`` is 0.
    """

    id: str
    readings: tuple[str, ...]
    n: int | None
    put_right: bool


class _Identifier(msgspec.Struct, frozen=True):
    value: str = ""


class _Component(msgspec.Struct, frozen=True, rename="camel"):
    value_integer: int | None = None


class _Observation(msgspec.Struct, frozen=True):
    id: str
    status: str
    identifier: tuple[_Identifier, ...] = ()
    component: tuple[_Component, ...] = ()


_observation = msgspec.json.Decoder(_Observation)


def due(reading: Reading, knowledge: Knowledge) -> DuePublication:
    """Return how the judge must publish a reading, by the policy with which it publishes."""
    policy = publishes(reading, knowledge)
    if policy != "summary":
        return DuePublication(policy=policy)
    return _summed(*place_of(reading))


@lru_cache(maxsize=65536)
def _summed(patient: str, vital: str, second: int) -> DuePublication:
    """Return the obligation that all readings of one window share."""
    start = datetime.fromtimestamp(second, UTC)
    return DuePublication(policy="summary", summary=summary_id(patient, vital, start), start=start)


def observation_facts(body: bytes) -> ObservationFacts:
    """Read an Observation. Raises ``msgspec.DecodeError`` for a body that is none."""
    found = _observation.decode(body)
    n = next(
        (each.value_integer for each in found.component if each.value_integer is not None), None
    )
    if n is not None and found.status == IN_ERROR:
        n = 0
    names = tuple(each.value.removeprefix(UUID_PREFIX) for each in found.identifier)
    return ObservationFacts(
        id=found.id,
        readings=() if n is not None else names,
        n=n,
        put_right=found.status in PUT_RIGHT,
    )


def frame_faults(
    account: Account | None, readings: int, rejects: Mapping[str, int]
) -> list[BalanceFault]:
    """Compare a frame's account with the readings and rejects that name the frame's place.

    A frame without an account counts as one missing part, because only the account would have its
    number of parts.
    """
    if account is None:
        return [BalanceFault(kind="no_account", parts=1, why="the frame has no account")]
    found = []
    ended = account.readings + account.duplicates + sum(account.rejects.values())
    if account.parts != ended:
        why = f"the account has {account.parts} parts, of which {ended} ended somewhere"
        found.append(
            BalanceFault(kind="account_unbalanced", parts=abs(account.parts - ended), why=why)
        )
    if account.readings != readings:
        kind: Imbalance = "readings_missing" if readings < account.readings else "readings_too_many"
        why = f"the account has {account.readings} readings, rpm.readings has {readings}"
        found.append(BalanceFault(kind=kind, parts=abs(account.readings - readings), why=why))
    for reason in sorted({*account.rejects, *rejects}):
        counted = account.rejects.get(reason, 0)
        there = rejects.get(reason, 0)
        if counted != there:
            kind = "rejects_missing" if there < counted else "rejects_too_many"
            why = f"the account has {counted} parts rejected as {reason}, rpm.rejects has {there}"
            found.append(BalanceFault(kind=kind, parts=abs(counted - there), why=why))
    return found


def window_fault(counts: WindowCounts) -> BalanceFault | None:
    """Return what is wrong with one window that is due, None if nothing is.

    Each judged reading without an Observation of its own must be in the summary. Evidence may be in
    both.
    """
    least = counts.judged - counts.single - counts.taken_back - counts.also_seen
    n = counts.n or 0
    if n < least:
        why = f"{least} readings have no Observation of their own, and the summary counts {n}"
        return BalanceFault(
            kind="summary_missing" if counts.n is None else "summary_too_small",
            parts=least - n,
            why=why,
        )
    most = counts.judged + counts.waiting
    if counts.whole and n > most:
        why = f"the summary counts {n}, and {most} readings came"
        return BalanceFault(kind="summary_too_large", parts=n - most, why=why)
    return None


def window_due(start: datetime) -> datetime:
    """Return the time from which the summary of the window at ``start`` must be there."""
    return datetime.fromtimestamp(start.timestamp() + SPAN_SECONDS + GRACE_SECONDS, UTC)


def gaps(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last missing number of each hole in ascending ``numbers``.

    What may follow the last number is unknown.

    >>> list(gaps([3, 4, 4, 8, 10]))
    [(5, 7), (9, 9)]
    """
    before: int | None = None
    for number in numbers:
        if before is not None and number > before + 1:
            yield before + 1, number - 1
        before = number

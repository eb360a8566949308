"""The books: what each frame, reading and summary owes to the topics behind it (CONTRACT 6), and
what is missing.

Pure comparisons of counts that somebody else collected: nothing here reads a topic or remembers a
record. A fault names what is missing and how many parts of it, never a value and never a patient.
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
# FHIR's statuses of a record that was put right after it was written: another content under its id
# is meant.
IN_ERROR = "entered-in-error"
PUT_RIGHT = frozenset({"corrected", "amended", IN_ERROR})


class Fault(Record, frozen=True, kw_only=True):
    """One thing that does not balance: ``parts`` are missing (or too many), ``why`` says so in
    words.
    """

    kind: Imbalance
    parts: int
    why: str


class WindowBooks(Record, frozen=True, kw_only=True):
    """One 15-minute window of one patient and vital, counted from the topics.

    ``judged`` readings owe a place in it, ``waiting`` ones lie before the judge and may be in it.
    Of the judged, ``single`` have an Observation of their own (as evidence, or because they came
    too late for the window), ``taken_back`` were withdrawn or could not be judged, and
    ``also_seen`` are the same measurement as one that came before: these may be missing in ``n``,
    the summary's own count (None: there is no summary). ``whole``: no reading of it can lie outside
    these books.
    """

    judged: int
    waiting: int
    single: int
    taken_back: int
    n: int | None
    whole: bool
    also_seen: int = 0


class Due(Record, frozen=True, kw_only=True):
    """A reading's debt: how it is published, and the id and start of the summary for ``policy``
    "summary".
    """

    policy: Policy
    summary: str | None = None
    start: datetime | None = None


class Told(Record, frozen=True, kw_only=True):
    """What an Observation says of itself: ``readings`` inside (none in a summary), ``n`` of a
    summary.

    A summary that is entered in error holds nothing that anybody may believe: its ``n`` is 0.
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


def due(reading: Reading, knowledge: Knowledge) -> Due:
    """What the judge owes for a reading, by the same policy with which it publishes."""
    policy = publishes(reading, knowledge)
    if policy != "summary":
        return Due(policy=policy)
    return _summed(*place_of(reading))


@lru_cache(maxsize=65536)
def _summed(patient: str, vital: str, second: int) -> Due:
    """The debt that all readings of one window share."""
    start = datetime.fromtimestamp(second, UTC)
    return Due(policy="summary", summary=summary_id(patient, vital, start), start=start)


def told(body: bytes) -> Told:
    """What an Observation says of itself. Raises ``msgspec.DecodeError`` for what is none."""
    found = _observation.decode(body)
    n = next(
        (each.value_integer for each in found.component if each.value_integer is not None), None
    )
    if n is not None and found.status == IN_ERROR:
        n = 0
    names = tuple(each.value.removeprefix(UUID_PREFIX) for each in found.identifier)
    return Told(
        id=found.id,
        readings=() if n is not None else names,
        n=n,
        put_right=found.status in PUT_RIGHT,
    )


def frame_faults(account: Account | None, readings: int, rejects: Mapping[str, int]) -> list[Fault]:
    """What is wrong with one frame: its account against the readings and rejects that name its
    place.

    A frame without an account counts as one part: how many it held is what the account would have
    said.
    """
    if account is None:
        return [Fault(kind="no_account", parts=1, why="the frame has no account")]
    found = []
    ended = account.readings + account.duplicates + sum(account.rejects.values())
    if account.parts != ended:
        why = f"the account has {account.parts} parts, of which {ended} ended somewhere"
        found.append(Fault(kind="account_unbalanced", parts=abs(account.parts - ended), why=why))
    if account.readings != readings:
        kind: Imbalance = "readings_missing" if readings < account.readings else "readings_too_many"
        why = f"the account has {account.readings} readings, rpm.readings has {readings}"
        found.append(Fault(kind=kind, parts=abs(account.readings - readings), why=why))
    for reason in sorted({*account.rejects, *rejects}):
        said = account.rejects.get(reason, 0)
        there = rejects.get(reason, 0)
        if said != there:
            kind = "rejects_missing" if there < said else "rejects_too_many"
            why = f"the account has {said} parts rejected as {reason}, rpm.rejects has {there}"
            found.append(Fault(kind=kind, parts=abs(said - there), why=why))
    return found


def window_fault(books: WindowBooks) -> Fault | None:
    """What is wrong with one window that is due.

    Each judged reading without an Observation of its own must be in the summary; evidence may be in
    both.
    """
    least = books.judged - books.single - books.taken_back - books.also_seen
    n = books.n or 0
    if n < least:
        why = f"{least} readings have no Observation of their own, and the summary counts {n}"
        return Fault(
            kind="summary_missing" if books.n is None else "summary_too_small",
            parts=least - n,
            why=why,
        )
    most = books.judged + books.waiting
    if books.whole and n > most:
        why = f"the summary counts {n}, and {most} readings came"
        return Fault(kind="summary_too_large", parts=n - most, why=why)
    return None


def window_due(start: datetime) -> datetime:
    """From when on the summary of the window that begins at ``start`` must be there."""
    return datetime.fromtimestamp(start.timestamp() + SPAN_SECONDS + GRACE_SECONDS, UTC)


def gaps(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last missing number of each hole in ascending ``numbers``; what may follow the last
    is unknown.

    >>> list(gaps([3, 4, 4, 8, 10]))
    [(5, 7), (9, 9)]
    """
    before: int | None = None
    for number in numbers:
        if before is not None and number > before + 1:
            yield before + 1, number - 1
        before = number

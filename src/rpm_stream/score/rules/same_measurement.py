"""Find second readings of a measurement: they are accepted, but not counted again.

The same measurement can arrive more than once, for example through an app hours later. Marks of the
newest readings of each vital are kept by measured time, 20 bytes each (``rpm_stream/sameness.py``).
For a cuff these are some days. For a vital at 1 Hz only a few of the last minute are kept, and they
displace nothing older.

With each measurement the marks of its second readings are kept. A device reports a measurement
once, so what it sends at another second is another measurement. Where there are too many second
readings, a measurement is dropped with all of them. If in doubt, one Observation too many is made,
and never one too few. The newest few second readings are kept whole: if the first is voided, one of
them replaces it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from operator import lt
from struct import Struct
from typing import Any
from zlib import crc32

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Origin, Reading
from rpm_stream.sameness import (
    BY_TWO_WAYS,
    MINUTE,
    Measured,
    are_one,
    closest,
    device_mark,
    measured,
    microseconds,
)
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.state import ScoreState, Twin
from rpm_stream.score.rules.stretch import Stretch
from rpm_stream.text import is_of_devices

MOST = 14  # marks of a vital that are kept: 280 bytes
# three hours of a glucose sensor, because its maker's servers may be that late
MOST_BY_TWO_WAYS = 36
MOST_A_MINUTE = 6  # marks of a minute that are kept, while values come faster than that
MOST_COPIES = 2  # second readings for each measurement that may be kept
MOST_TWINS = 3  # second readings of a vital that are kept whole
BEATS = frozenset({"rr_interval"})
MOST_TEXT = 64  # characters of an attribute that is kept
_FORM = Struct("<qIII")
_TIME = Struct("<q")
_WORD = Struct("<I")
_SIZE = _FORM.size
_DEVICE = _TIME.size + _WORD.size  # where a mark names its device


class Same:
    """The measurements of patients, bound to the knowledge table.

    What a device reports about itself is no measurement. A beat of the heart has no time of its
    own, so two equal beats of one second are two measurements.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._vitals = frozenset(
            vital
            for vital, row in knowledge.vitals.items()
            if not is_of_devices(row.group) and vital not in BEATS
        )

    def also_seen(self, state: ScoreState, readings: Sequence[Reading]) -> list[Reading]:
        """Return those of ``readings`` that are second readings of a known measurement.

        The others become known.
        """
        return [reading for reading in readings if self._is_known(state, reading)]

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """To its end where each vital goes on with the one device that it was last heard by."""
        for vital, column in stretch.columns.items():
            if vital in self._vitals and not _is_of_one(state.seen.get(vital, b""), column):
                return stretch.begin
        return FOREVER

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """The readings of a calm stretch are known from now on."""
        for vital, column in stretch.columns.items():
            if vital in self._vitals:
                state.seen[vital] = _all_entered(state.seen.get(vital, b""), column)

    def _is_known(self, state: ScoreState, reading: Reading) -> bool:
        vital = reading.vital
        if reading.value is None or vital not in self._vitals:
            return False
        one = measured(reading)
        kept = state.seen.get(vital, b"")
        first = _first(state, kept, one, vital) if kept else None
        if first is None:
            state.seen[vital] = _entered(kept, one, vital)
            return False
        _note_copy(state, vital, first, one)
        twins = state.twins.setdefault(vital, [])
        twins.append(_twin(first, reading))
        del twins[:-MOST_TWINS]
        return True


def _first(state: ScoreState, kept: bytes, one: Measured, vital: str) -> Measured | None:
    """The first reading of the measurement of which ``one`` is the second."""
    at, value, device, _ = one
    newest = _TIME.unpack_from(kept, len(kept) - _SIZE)[0]
    if at - MINUTE >= newest:
        return None  # the usual case where values are rare
    if at > newest and kept.count(_WORD.pack(device)) * _SIZE >= len(kept):
        return None  # the usual case where one device sends values every second
    if _WORD.pack(value) not in kept:
        return None  # the usual case where two devices do
    alike = [Measured._make(each) for each in _FORM.iter_unpack(kept) if each[1] == value]
    near = [each for each in alike if are_one(each, one, vital)]
    return (
        closest(one, ((each, _copies(state, vital, each)) for each in near), vital)
        if near
        else None
    )


def _copies(state: ScoreState, vital: str, first: Measured) -> Iterator[Measured]:
    of = _checksum(first)
    kept = state.copies.get(vital, b"")
    return (each._replace(value=first.value) for each in _marks(kept) if each.value == of)


def _note_copy(state: ScoreState, vital: str, first: Measured, one: Measured) -> None:
    """Keep the mark of ``one`` as a second reading of ``first``.

    The mark names the first reading in place of the value, which is equal.
    """
    copies = [*_marks(state.copies.get(vital, b"")), one._replace(value=_checksum(first))]
    firsts = {_checksum(each): each for each in _marks(state.seen[vital])}
    copies = [each for each in copies if each.value in firsts]
    while len(copies) > MOST_COPIES * _most(vital):
        oldest = copies[0].value
        copies = [each for each in copies if each.value != oldest]
        del firsts[oldest]
        _keep(state.seen, vital, firsts.values())
    _keep(state.copies, vital, copies)


def _checksum(first: Measured) -> int:
    return crc32(_FORM.pack(*first))


def _keep(kept: dict[str, bytes], vital: str, marks: Collection[Measured]) -> None:
    kept[vital] = _packed(marks)
    if not marks:
        del kept[vital]


def _marks(kept: bytes) -> Iterator[Measured]:
    return map(Measured._make, _FORM.iter_unpack(kept))


def _entered(kept: bytes, one: Measured, vital: str) -> bytes:
    """The marks with one more, in the order of time.

    The oldest is dropped where there are too many.
    """
    at = one.at
    mark = _FORM.pack(*one)
    end = len(kept)
    if end and at < _TIME.unpack_from(kept, end - _SIZE)[0]:
        return _packed(sorted((*_FORM.iter_unpack(kept), one)))[-_most(vital) * _SIZE :]
    crowded = end - MOST_A_MINUTE * _SIZE
    if crowded >= 0 and at - _TIME.unpack_from(kept, crowded)[0] < MINUTE:
        return kept[:crowded] + kept[crowded + _SIZE :] + mark
    return (kept + mark)[-_most(vital) * _SIZE :]


def _is_of_one(kept: bytes, column: Column) -> bool:
    """Whether all that is kept is of the column's device, and older than each reading in turn:
    then none tells of a measurement again.
    """
    device = _WORD.pack(device_mark(column.device))
    of_devices = (kept[_DEVICE + byte :: _SIZE] for byte in range(len(device)))
    marks = len(kept) // _SIZE
    if any(found != device[byte : byte + 1] * marks for byte, found in enumerate(of_devices)):
        return False
    times = [reading.measured_at for reading in column.readings]
    if not all(map(lt, times, times[1:])):
        return False
    return not kept or _TIME.unpack_from(kept, len(kept) - _SIZE)[0] < microseconds(times[0])


def _all_entered(kept: bytes, column: Column) -> bytes:
    """As ``_entered`` for each reading in turn: of most of them the mark is never made."""
    most = _most(column.vital)
    marks: list[tuple[int, bytes | Reading]] = [
        (_TIME.unpack_from(kept, place)[0], kept[place : place + _SIZE])
        for place in range(0, len(kept), _SIZE)
    ]
    for reading in column.readings:
        at = microseconds(reading.measured_at)
        if len(marks) >= MOST_A_MINUTE and at - marks[-MOST_A_MINUTE][0] < MINUTE:
            del marks[-MOST_A_MINUTE]
        marks.append((at, reading))
        del marks[:-most]
    return b"".join(
        mark if isinstance(mark, bytes) else _FORM.pack(*measured(mark)) for _, mark in marks
    )


def _most(vital: str) -> int:
    return MOST_BY_TWO_WAYS if vital in BY_TWO_WAYS else MOST


def _packed(marks: Iterable[tuple[Any, ...]]) -> bytes:
    return b"".join(_FORM.pack(*each) for each in marks)


# --- when readings are voided ---------------------------------------------------------------------


def not_counted(state: ScoreState, readings: Iterable[Reading]) -> frozenset[str]:
    """The ids of second readings, as far as they are still known. Nothing depends on them.

    A second reading that is no longer known is voided like any other. An Observation too many is
    then marked as entered in error, which is better than to leave a wrong one.
    """
    return frozenset(
        reading.id
        for reading in readings
        if any(twin.id == reading.id for twin in state.twins.get(reading.vital, ()))
    )


def forget(state: ScoreState, reading: Reading) -> None:
    """Drop a voided reading, be it a first or a second one.

    ``heirs`` returns the second readings of a voided first one.
    """
    vital = reading.vital
    if twins := state.twins.get(vital):
        twins[:] = [twin for twin in twins if twin.id != reading.id]
        if not twins:
            del state.twins[vital]
    if reading.value is not None and vital in state.seen:
        _forget_mark(state, vital, measured(reading))


def _forget_mark(state: ScoreState, vital: str, one: Measured) -> None:
    firsts = list(_marks(state.seen[vital]))
    copies = list(_marks(state.copies.get(vital, b"")))
    if one in firsts:
        firsts.remove(one)
        copies = [each for each in copies if each.value != _checksum(one)]
    else:
        alike = {_checksum(first) for first in firsts if first.value == one.value}
        copies = [
            each
            for each in copies
            if each.value not in alike or each._replace(value=one.value) != one
        ]
    _keep(state.seen, vital, firsts)
    _keep(state.copies, vital, copies)


def copies(state: ScoreState, vital: str) -> frozenset[tuple[Measured, Measured]]:
    """Each known second reading, with the first of its measurement."""
    kept = list(_marks(state.copies.get(vital, b"")))
    firsts = (
        {_checksum(first): first for first in _marks(state.seen.get(vital, b""))} if kept else {}
    )
    found = {
        (first, each._replace(value=first.value))
        for each in kept
        if (first := firsts.get(each.value)) is not None
    }
    for twin in state.twins.get(vital, ()):
        found.add((Measured._make(_FORM.unpack(twin.of)), measured(_reading("", vital, twin))))
    return frozenset(found)


def heirs(state: ScoreState, patient: str, wrong: Sequence[Reading]) -> tuple[Reading, ...]:
    """The right second readings of voided first ones, to be judged and published in their place.

    They are dropped here, because they are no longer second to another reading.
    """
    ids = {reading.id for reading in wrong}
    gone = {_FORM.pack(*measured(reading)) for reading in wrong if reading.value is not None}
    found = []
    for vital in sorted({reading.vital for reading in wrong} & state.twins.keys()):
        twins = state.twins[vital]
        free = [twin for twin in twins if twin.of in gone and twin.id not in ids]
        found += [_reading(patient, vital, twin) for twin in free]
        twins[:] = [twin for twin in twins if twin not in free]
    return tuple(found)


def _twin(first: Measured, reading: Reading) -> Twin:
    origin = reading.origin
    return Twin(
        of=_FORM.pack(*first),
        id=reading.id,
        device=reading.device,
        value=str(reading.value),
        unit=reading.unit,
        measured_at=reading.measured_at,
        received_at=reading.received_at,
        utc_offset=reading.utc_offset,
        flags=reading.flags,
        attributes=_small(reading.attributes),
        frame=origin.frame,
        index=origin.index,
        part=origin.part,
    )


def _small(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes without long ones. A device may attach kilobytes to each value."""
    return {
        name: text
        for name, text in attributes.items()
        if isinstance(text, str) and len(text) <= MOST_TEXT
    }


def _reading(patient: str, vital: str, twin: Twin) -> Reading:
    return Reading(
        id=twin.id,
        patient=patient,
        device=twin.device,
        vital=vital,
        value=twin.value,
        unit=twin.unit,
        measured_at=twin.measured_at,
        received_at=twin.received_at,
        utc_offset=twin.utc_offset,
        absent=None,
        flags=twin.flags,
        attributes=twin.attributes,
        origin=Origin(frame=twin.frame, index=twin.index, part=twin.part),
    )

"""Where the values of one entry stand: when, whose, what identifies them (K of CONTRACT 5), and whether they were seen.

A value is identified by what its device says of it: its number (2A18, 2AA7, 2BDD, a record system's identifier), else
the valid time that it carries and its payload, whether or not that time counts. A value without these is identified by
the gateway's ``at`` and its payload. So is one whose device's time tells nothing, because the clock stands still
(sightings.py) or was set back: another reading has the identity by that time already.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from rpm_stream.duplicates import Mark, Verdict, check, is_known, mark, size
from rpm_stream.ingest.frames import APP, FHIR, Entry
from rpm_stream.ingest.segments import SEGMENTED
from rpm_stream.normalise import Offsets, Placed, Refusal, is_stored, place, time_fault, told_time, without_device_time
from rpm_stream.pipeline.device import DeviceState, join_session
from rpm_stream.pipeline.frames import Work
from rpm_stream.pipeline.identity import claim, whose
from rpm_stream.pipeline.sightings import TOGETHER, Outcome, Sightings, forget, name_of
from rpm_stream.pipeline.skew import CLOCK_SKEW, SKEWED, noted, runs_behind, skew
from rpm_stream.records import Decoded, DeviceEntry, Record

SESSION = "offset/"  # of a key that is none by itself: the minutes of a CGM session
STORED = Refusal(reason="too_old", detail="measured over 30 days before it was sent, by a clock that is right")
OLDER = Refusal(reason="too_old", detail="older than what can be told from a re-sent value")


class Spot(Record, frozen=True, kw_only=True, gc=False):
    """Where the values of one entry stand. ``name``: of the value under its device's time, where it carries one;
    ``refusal``: why it can be no reading, whoever's it is; ``was_refused``: for what it says, when it came before.
    """

    placed: Placed
    flags: tuple[str, ...]
    key: str
    whose: str | Refusal
    seen_as: Mark
    name: int | None
    verdict: Verdict
    refusal: Refusal | None
    was_refused: bool
    skew: int | None

    @property
    def left_as(self) -> tuple[int, ...]:
        """What stands for it among the entries that were read in part: the first, and what older releases wrote."""
        return (self.seen_as.digest,) if self.name is None else (self.name, self.seen_as.digest)


class _Identity(Record, frozen=True, kw_only=True, gc=False):
    """What identifies a value: ``key`` (K), the ``mark`` that it leaves, its ``name``; ``other``: a mark that it may
    have left when it came at another time, or by itself.
    """

    key: str
    mark: Mark
    name: int | None = None
    other: Mark | None = None
    was_refused: bool = False


def key_by_at(entry: Entry, decoded: Decoded) -> str:
    """What identifies a value by the gateway's time. One that comes twice at one instant is a repeat of itself."""
    return f"{entry.at.isoformat()}\x1f{entry.content}\x1f1\x1f{decoded.key}"


def _is_numbered(decoded: Decoded) -> bool:
    return bool(decoded.key) and not decoded.key.startswith(SESSION)


def _said(decoded: Decoded) -> str:
    """What a numbered value says. One number with another value is another measurement: a meter that has lost its
    battery begins again with its first number, and often with its first date.
    """
    beyond = sorted({"result_too_low", "result_too_high"}.intersection(decoded.flags))
    return "\x1f".join((decoded.value or decoded.absent or "", decoded.unit, *beyond))


def _without_counter(entry: Entry) -> str:
    """The payload, but for the octet that counts segments on the way: it is another one each time."""
    return entry.content[2:] if entry.characteristic in SEGMENTED else entry.content


class Part:
    """One entry on its way, value by value."""

    __slots__ = ("_same", "_spot", "device", "entry", "shows_clock", "state", "work")

    def __init__(self, state: DeviceState, work: Work, entry: Entry, device: DeviceEntry | None) -> None:
        self.state, self.work, self.entry, self.device = state, work, entry, device
        self._same: Decoded | None = None
        self._spot: Spot | None = None
        self.shows_clock = False  # of an entry that is not read, and tells of its device's clock all the same

    def spot(self, decoded: Decoded, dense: bool) -> Spot:
        """Where ``decoded`` stands; nearly always where the value before it does."""
        known = self._same
        if (
            self._spot is None
            or known is None
            or known.device_time != decoded.device_time
            or known.key != decoded.key
            or (known.value != decoded.value and self._has_number(decoded))
            or known.flags != decoded.flags
            or known.attributes != decoded.attributes
        ):
            self._same, self._spot = decoded, self._found(decoded, dense)
        return self._spot

    def note_clock(self) -> None:
        """Keep, once an entry, how far the device's clock is off and what it has shown."""
        if self._spot is None or self._spot.placed.behind is None or self._spot.placed.shown is None:
            return
        state, placed, refused = self.state, self._spot.placed, self._spot.refusal
        behind, shown = self._spot.placed.behind, self._spot.placed.shown
        if placed.by_device:
            state.counted = max(state.counted or shown, shown)
        if refused is not None and state.stored == shown:
            return  # one record that comes again and again is no clock that runs
        if refused is not None:
            state.stored = shown
        state.behind = noted(state.behind, behind)

    def note_sighting(self, spot: Spot, outcome: Outcome) -> None:
        """Note that a value was seen under its device's time."""
        if spot.name is None:
            return
        kinds, kind = self.state.sightings, spot.seen_as.kind
        if kind not in kinds:
            kinds[kind] = Sightings()
        kinds[kind].note(spot.name, self.entry.at, self.work.received_at, outcome)
        forget(kinds, size(self.state.seen))

    def _offsets(self, entry: Entry) -> Offsets:
        registered = self.device.utc_offset if self.device else None
        return Offsets(payload=entry.utc_offset, registry=registered, frame=self.work.envelope.utc_offset)

    def _found(self, decoded: Decoded, dense: bool) -> Spot:
        entry, work, state = self.entry, self.work, self.state
        alone = decoded
        decoded, offsets = join_session(state, decoded, self._offsets(entry), entry.at)
        kind = decoded.vital if entry.characteristic in (APP, FHIR) else entry.characteristic
        placed = place(entry.at, decoded, offsets)
        identity = self._identity(decoded, placed, kind)
        if self._is_set_back(placed, identity):
            placed = without_device_time(placed, entry.at)
            by_at = key_by_at(entry, decoded)
            identity = _Identity(key=by_at, mark=mark(kind, by_at, entry.at), name=identity.name)
        patient, unsure = whose(
            self.device, work.message.patient, claim(placed.measured_at, decoded.attributes, entry.subject)
        )
        fault = time_fault(placed.measured_at, work.received_at)
        verdict: Verdict = "new"
        if fault is None:
            verdict, identity = self._verdict(decoded, placed, identity, dense)
        if work.known_frame and decoded is not alone and verdict == "new" and self._read_alone(alone, dense):
            verdict = "duplicate"
        refusal = OLDER if verdict == "too_old" else self._stored(placed, identity) if verdict == "new" else None
        self.shows_clock |= refusal is not None
        off_by = None if placed.behind is None else skew(noted(state.behind, placed.behind))
        flags = decoded.flags + placed.flags
        if more := unsure if off_by is None else (*unsure, CLOCK_SKEW):
            flags += tuple(flag for flag in more if flag not in decoded.flags)
        return Spot(
            placed=placed,
            flags=flags,
            key=identity.key,
            whose=fault or patient if isinstance(patient, str) else patient,
            seen_as=identity.mark,
            name=identity.name,
            verdict=verdict,
            refusal=refusal,
            was_refused=identity.was_refused,
            skew=off_by,
        )

    def _identity(self, decoded: Decoded, placed: Placed, kind: str) -> _Identity:
        """By the number that the device gave it; else by its own time, with the mark of the time that counts."""
        entry = self.entry
        if _is_numbered(decoded):
            name = name_of(decoded.key, _said(decoded)) if self._has_number(decoded) else None
            return _Identity(key=decoded.key, mark=mark(kind, decoded.key, placed.measured_at), name=name)
        by_at, told = key_by_at(entry, decoded), told_time(decoded)
        at = mark(kind, by_at, entry.at)
        if not told:
            return _Identity(key=by_at, mark=at)
        key = f"{told}\x1f{entry.content}"
        counted = mark(kind, key, placed.measured_at)
        one, other = (counted, at) if placed.by_device else (at, counted)
        return _Identity(key=key, mark=one, name=name_of(told, _without_counter(entry)), other=other)

    def _verdict(self, decoded: Decoded, placed: Placed, identity: _Identity, dense: bool) -> tuple[Verdict, _Identity]:
        """Whether the value was seen; and what identifies it, where the name by its device's time is another's."""
        entry, seen = self.entry, self.state.seen
        verdict = check(seen, identity.mark, dense, self.work.known_frame)
        sightings = self.state.sightings.get(identity.mark.kind)
        if _is_numbered(decoded) and self._is_another(identity):
            key = f"{decoded.key}\x1f{_said(decoded)}"
            seen_as = mark(identity.mark.kind, key, identity.mark.at)
            return "new", msgspec.structs.replace(identity, key=key, mark=seen_as)
        if verdict == "duplicate" or identity.name is None:
            return verdict, identity
        if identity.other is not None and is_known(seen, identity.other):
            return "duplicate", identity
        found = sightings.look(identity.name, entry.at, self.work.received_at) if sightings is not None else "new"
        if found == "new":
            return verdict, identity
        if found == "refused" and verdict == "new" and not is_stored(placed):
            return verdict, msgspec.structs.replace(identity, was_refused=True)
        if found == "anew" and not (placed.by_device or _is_numbered(decoded) or self._is_of_memory(decoded)):
            return verdict, msgspec.structs.replace(identity, key=key_by_at(entry, decoded))
        return "duplicate", identity

    def _has_number(self, decoded: Decoded) -> bool:
        """Whether a device has numbered the value; a record system names a whole panel at once."""
        return _is_numbered(decoded) and self.entry.characteristic not in (APP, FHIR)

    def _is_another(self, identity: _Identity) -> bool:
        """Whether the number of a value is known, and by other values alone."""
        sightings = self.state.sightings.get(identity.mark.kind)
        if sightings is None or identity.name is None:
            return False
        return is_known(self.state.seen, identity.mark) and sightings.is_another(identity.name)

    def _is_held(self, identity: _Identity) -> bool:
        """Whether the value was seen under its device's time, however long ago."""
        sightings = self.state.sightings.get(identity.mark.kind)
        return identity.name is not None and sightings is not None and sightings.holds(identity.name)

    def _is_of_memory(self, decoded: Decoded) -> bool:
        """Whether another value of the same shown time came with this one, or the whole frame has come before."""
        entry, told = self.entry, told_time(decoded)
        return self.work.known_frame or any(
            other.characteristic == entry.characteristic
            and other.content != entry.content
            and abs(other.at - entry.at) <= timedelta(seconds=TOGETHER)
            and any(told_time(each) == told for each in other.payload.readings[:1])
            for other in self.work.entries
        )

    def _is_set_back(self, placed: Placed, identity: _Identity) -> bool:
        """Whether a clock that was set back shows seconds of long ago again: what it measures now would pass for what
        it measured then.
        """
        if not placed.by_device or placed.behind is None or placed.behind <= SKEWED or self.work.known_frame:
            return False
        seen, seen_as = self.state.seen, identity.mark
        self.shows_clock = not is_known(seen, seen_as) and check(seen, seen_as, False, True) != "new"
        return self.shows_clock and runs_behind(noted(self.state.behind, placed.behind))

    def _stored(self, placed: Placed, identity: _Identity) -> Refusal | None:
        """Why a value that lay in its device for over 30 days is none of now: its clock has shown later times since
        that counted, or this very one.
        """
        if placed.behind is None or not is_stored(placed):
            return None
        counted = max(filter(None, (self.state.counted, self._counted_beside())), default=None)
        if counted is None or placed.shown is None or counted < placed.shown:
            return None
        if counted == placed.shown and not self._is_held(identity):
            return None  # it may stand still
        if runs_behind(noted(self.state.behind, placed.behind)):
            return None  # its clock is wrong by the same each time: it measures now
        return STORED

    def _counted_beside(self) -> datetime | None:
        """The latest time that counts of what came in the same frame."""
        if self.work.counted is None:
            self.work.counted = [
                beside.shown
                for entry in self.work.entries
                for decoded in entry.payload.readings[:1]
                if (beside := place(entry.at, decoded, self._offsets(entry))).by_device and beside.shown is not None
            ]
        return max(self.work.counted, default=None)

    def _read_alone(self, alone: Decoded, dense: bool) -> bool:
        """Whether this value of a re-sent frame was read before its session was known, under its time of receipt."""
        at = self.entry.at
        seen_as = mark(self.entry.characteristic, key_by_at(self.entry, alone), at)
        return check(self.state.seen, seen_as, dense, True) == "duplicate"

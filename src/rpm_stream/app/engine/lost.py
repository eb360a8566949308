"""Detects a changelog that has lost states, so that no state restarts empty without notice.

Each commit of a source partition carries metadata about the changelog of that partition. It holds
the end of the changelog and the number of its states at that moment, whatever other partitions hold
of the same keys. Neither ever falls, whatever is compacted, and both are noted only after the
broker has acknowledged the writes. So a changelog with less has been deleted, emptied or put back
from an old copy. A commit of an older release has no metadata and gives no information.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from rpm_stream.app.runtime.end import EXIT_STATE, die

# Header of the record that 'rpm-stream state rebuild' writes behind the states of a rebuilt
# partition. Its value is the end that the lost changelog had. The record is a tombstone, so its key
# never becomes a state.
BEGUN_ANEW: Final = "rpm-begun-anew"
BEGUN_ANEW_KEY: Final = b"\x00rpm-begun-anew"


class Note(msgspec.Struct, frozen=True):
    """The facts about a changelog in a commit's metadata.

    ``end`` is the offset behind the last record, and ``states`` the number of keys. ``held`` is the
    lowest offset of the source from which messages of a held key are kept, or None where all
    messages are applied.
    """

    end: int
    states: int = 0
    held: int | None = None


class StateLoss(NamedTuple):
    """The content of a changelog partition, and the content that the last commit noted."""

    partition: int
    found: Note
    known: Note

    @property
    def fault(self) -> str:
        """The difference as text."""
        return (
            f"it ends at {self.found.end} with {self.found.states} states; when its agent last"
            f" committed it ended at {self.known.end} with {self.known.states}"
        )


_read = msgspec.json.Decoder(Note)


def written(note: Note) -> str:
    """Return the metadata of a commit."""
    return msgspec.json.encode(note).decode()


def read_note(metadata: str | None) -> Note | None:
    """Return the note in a commit's metadata, or None where it holds none."""
    try:
        return _read.decode(metadata or "")
    except msgspec.MsgspecError:
        return None


def replaced_end(record: Any) -> int | None:
    """Return the end of the lost changelog that a rebuild record names, or None."""
    for name, value in record.headers or ():
        if name == BEGUN_ANEW and value.isdigit():
            return int(value)
    return None


def is_lost(found: Note, known: Note | None, replaced: int) -> bool:
    """Whether a changelog has lost states that a commit noted.

    ``replaced`` is the end for which the changelog was rebuilt since, or -1.

    An end never falls, whatever is compacted. The number of states is evidence only where none is
    left, because retention empties a partition without moving its end. A wrong exit with 65 would
    end the care of all others in the partition.
    """
    if known is None or known.end <= replaced:
        return False
    return found.end < known.end or (known.states > 0 and found.states == 0)


def end_for_loss(changelog: str, what: StateLoss) -> None:
    """End the process, because a person must act."""
    die(
        "state.lost",
        EXIT_STATE,
        changelog=changelog,
        partition=what.partition,
        fault=what.fault,
        hint="the changelog was deleted, emptied or put back from an old copy; nothing was dropped"
        " or reset: put the topic back, or make its states again from what the other topics still"
        " hold with 'rpm-stream state rebuild'",
    )

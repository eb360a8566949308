"""Step Counter Activity Summary Data (2B40). PROVISIONAL: one unverified source.

It belongs to the Physical Activity Monitor. segmentation header u8 (bit 0 first, bit 1 last, bits
7-2 counter), flags u8 (which fields follow), session u16, sub-session u16, relative time u32 s,
sequence u32, then the promised fields. The source does not have their sizes. They are kept as
octets and give no reading, because a guessed count is no count. Steps come from a phone's app.
"""

from __future__ import annotations

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.notes import Bits, Notes, names, numbered
from rpm_stream.ingest.gatt.segments import counter_of_whole
from rpm_stream.records import Payload

_RFU = 0xE0

FIELDS: Bits = numbered(
    """
    0 normal_walking_steps
    1 intensity_steps
    2 floors
    3 distance
    4 worn_duration
    """
)


def decode_step_counter(data: bytes) -> Payload:
    """Decode 2B40: session, time and sequence as attributes, and the promised fields as octets.

    Attributes: ``session``, ``sub_session``, ``relative_time_s``, ``sequence``, ``fields`` (names)
    and their octets in ``fields_hex``.
    """
    cursor = Cursor(data)
    counter = counter_of_whole(cursor.u8())
    flags = cursor.u8()
    notes = Notes()
    notes.attributes = {
        "segment": counter,
        "session": cursor.u16(),
        "sub_session": cursor.u16(),
        "relative_time_s": cursor.u32(),
        "sequence": cursor.u32(),
        "fields": names(FIELDS, flags),
        "provisional": True,
    }
    if notes.attributes["fields"]:
        if cursor.left < len(notes.attributes["fields"]):
            raise DecodeError("truncated", "a promised field is missing")
        notes.attributes["fields_hex"] = cursor.take(cursor.left).hex()
    cursor.finish()
    notes.rfu(flags & _RFU)
    return notes.payload([])

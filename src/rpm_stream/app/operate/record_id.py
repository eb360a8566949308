"""Reads the id of a record and nothing else of it."""

from __future__ import annotations

import msgspec


class RecordId(msgspec.Struct, frozen=True):
    """The id of any record that has one."""

    id: str


decode_id = msgspec.json.Decoder(RecordId).decode

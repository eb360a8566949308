"""A frame that a gateway sends, with its entries."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from rpm_stream.records.base import (
    CLEAN,
    AppValue,
    Name,
    Offset,
    Record,
    Short,
    Time,
    Unit,
    Version,
)


class Notification(Record, frozen=True, kw_only=True):
    """One GATT notification or indication as the device sent it.

    ``payload`` is hexadecimal.
    """

    at: Time
    characteristic: Annotated[
        str,
        Meta(
            min_length=4,
            max_length=36,
            pattern=CLEAN,
            description="4 hex digits or the 128-bit form",
        ),
    ]
    payload: Annotated[str, Meta(max_length=4096, description="the payload's bytes in hexadecimal")]


class Measurement(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One value that an app measured or a person typed.

    ``vital`` and ``unit`` are names of the knowledge table. The record has either ``value`` or
    ``absent``. LO and HI are what a glucose meter shows instead of a number.
    """

    at: Time
    vital: Short
    value: AppValue | None = None
    unit: Unit
    absent: Literal["negative-infinity", "positive-infinity"] | None = None


class FrameHead(Record, frozen=True, kw_only=True):
    """The fields of a frame besides its entries.

    ``seq`` counts from ``boot`` per gateway and device, so that a gap can be found.
    """

    v: Version
    frame: Name
    gateway: Name
    device: Name
    seq: Annotated[int, Meta(ge=0, le=2**53)]
    boot: Short | Annotated[int, Meta(ge=0, le=2**53)]
    sent_at: Time
    utc_offset: Offset | None = None
    received_at: Time | None = None


class Frame(FrameHead, frozen=True, kw_only=True):
    """One uplink of one gateway for one device.

    It has exactly one of the three kinds of entries, 1 to 1,000 of them. ``seq`` counts from
    ``boot`` per gateway and device, so that a gap can be found.
    """

    notifications: Annotated[list[Notification], Meta(min_length=1, max_length=1000)] | None = None
    measurements: Annotated[list[Measurement], Meta(min_length=1, max_length=1000)] | None = None
    resources: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=1000)] | None = None

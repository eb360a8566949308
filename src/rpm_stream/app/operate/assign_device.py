"""Assigns a device to a patient, and sends the frames again that had been refused without that.

The assignment is a new entry of the registry.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from rpm_stream.app.operate.assignments import assigned, covers, taken_back
from rpm_stream.app.operate.redrive import Redriven, redrive, rejects_where
from rpm_stream.app.registry.topic import read, write
from rpm_stream.app.runtime.clock import wall
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.normalise.placement import FUTURE
from rpm_stream.records import Assignment, DeviceEntry

# A value that was refused longer than this before an assignment begins cannot have been measured
# within the assignment. A time further ahead of its receipt is refused as future_time
# (normalise.FUTURE). One hour is added for clocks that differ.
BEFORE = FUTURE + timedelta(hours=1)


async def device_entry(bootstrap: str, device: str) -> DeviceEntry | None:
    """Return the registry's entry of ``device``. Raises ``UsageError`` when the broker is away."""
    return (await read(bootstrap)).devices.get(device)


async def assign(
    bootstrap: str, device: str, new: Assignment, model: str | None
) -> tuple[DeviceEntry, Redriven]:
    """Give ``device`` to a patient, and send again the frames that were refused without a wearer.

    It does not wait for the workers: each of them reads the registry to its end before it takes a
    frame that was sent again. Returns the new entry and the result of the redrive. Raises
    ``UsageError``.
    """
    entry = assigned(await device_entry(bootstrap, device) or DeviceEntry(device=device), new)
    if model is not None:
        entry = msgspec.structs.replace(entry, model=model)
    await write(bootstrap, [entry])
    # With recorded time a frame may be received long after the time in it. If the assignment starts
    # in the future, all rejects up to now count.
    since = None if new.from_ is None else min(new.from_, wall()) - BEFORE
    rejects = await rejects_where(
        bootstrap, lambda reject: covers(device, new, reject), device, since
    )
    return entry, await redrive(bootstrap, rejects)


async def unassign(bootstrap: str, device: str, span: Assignment) -> DeviceEntry:
    """Record that ``device`` belongs to no patient in ``span``, and return the new entry.

    Raises ``UsageError``, also for a device that is not in the registry.
    """
    known = await device_entry(bootstrap, device)
    if known is None:
        raise UsageError("the registry has no such device")
    entry = taken_back(known, span)
    await write(bootstrap, [entry])
    return entry

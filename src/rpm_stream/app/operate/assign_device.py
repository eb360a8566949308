"""Who gets a device: the registry's new entry, and the frames that were refused for want of it,
sent again.
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

# Nothing that was refused longer than this before an assignment begins can be measured after it: a
# time further ahead of its receipt is refused as future_time (normalise.FUTURE), and an hour for
# clocks that differ.
BEFORE = FUTURE + timedelta(hours=1)


async def device_entry(bootstrap: str, device: str) -> DeviceEntry | None:
    """The registry's entry of ``device``. Raises UsageError when the broker is away."""
    return (await read(bootstrap)).devices.get(device)


async def assign(
    bootstrap: str, device: str, new: Assignment, model: str | None
) -> tuple[DeviceEntry, Redriven]:
    """Give ``device`` to a patient, and send again what was refused because nobody had it. Raises
    UsageError.

    No worker is waited for: before a frame that is sent again each reads the registry to its end.
    """
    entry = assigned(await device_entry(bootstrap, device) or DeviceEntry(device=device), new)
    if model is not None:
        entry = msgspec.structs.replace(entry, model=model)
    await write(bootstrap, [entry])
    # With recorded time a frame may be received long after it says: where it lies ahead of now, all
    # until now count.
    since = None if new.from_ is None else min(new.from_, wall()) - BEFORE
    rejects = await rejects_where(
        bootstrap, lambda reject: covers(device, new, reject), device, since
    )
    return entry, await redrive(bootstrap, rejects)


async def unassign(bootstrap: str, device: str, span: Assignment) -> DeviceEntry:
    """``device`` belongs to nobody in ``span``.

    Raises UsageError, also for a device that nobody registered.
    """
    known = await device_entry(bootstrap, device)
    if known is None:
        raise UsageError("the registry has no such device")
    entry = taken_back(known, span)
    await write(bootstrap, [entry])
    return entry

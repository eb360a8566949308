"""Follows the registry's devices while the gateway runs.

The devices are also kept in a file, for a start without the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from rpm_stream.app.gateway.ble.known import Known, KnownDevice, from_registry
from rpm_stream.app.gateway.ble.small_files import replace_or_log
from rpm_stream.app.kafka.clients import AWAY
from rpm_stream.app.registry.reader import RegistryReader

LOOK_SECONDS = 5.0
RETRY_SECONDS = 15.0

_log = structlog.get_logger(__name__)


async def follow(bootstrap: str, path: Path, serve: Callable[[Known], None]) -> None:
    """Call ``serve`` with the devices in ``path``, then with the registry's at each change.

    It runs for ever and rewrites ``path`` at each change.
    """
    served = remembered(path)
    serve(Known(served))
    while True:
        reader = RegistryReader(bootstrap)
        task = asyncio.create_task(reader.run())
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=LOOK_SECONDS)
                if (
                    reader.ready.is_set()
                    and (found := list(from_registry(reader.registry.devices.values()).devices))
                    != served
                ):
                    served = found
                    serve(Known(served))
                    replace_or_log(path, msgspec.json.encode(served))
            task.result()
        except AWAY as error:
            _log.warning("ble.registry_away", kind=type(error).__name__, devices=len(served))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(RETRY_SECONDS)


def remembered(path: Path) -> list[KnownDevice]:
    """Return the devices of the last run, an empty list if there are none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[KnownDevice])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("ble.devices_unreadable", kind=type(error).__name__)
        return []

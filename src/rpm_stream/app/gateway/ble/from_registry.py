"""The devices of the registry, followed while the gateway runs, and remembered for a start
without the broker.
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
    """Call ``serve`` with what ``path`` remembers, then with what the registry has, at each
    change; for ever.
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
            _log.warning("ble_registry_away", kind=type(error).__name__, devices=len(served))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(RETRY_SECONDS)


def remembered(path: Path) -> list[KnownDevice]:
    """The devices of the last time; none where there was none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[KnownDevice])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("ble_devices_unreadable", kind=type(error).__name__)
        return []

"""The bumble back end's keys of bonded devices: one JSON file that only its owner may read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bumble.keys import JsonKeyStore

from rpm_stream.app.gateway.ble.radio import RadioOff
from rpm_stream.app.runtime.private import replace_private


class Keys(JsonKeyStore):
    """bumble's key store in a file of mode 0600.

    The file is written whole or not at all, also if the power fails.
    """

    def __init__(self, path: Path, adapter: str) -> None:
        """Use the file ``path``.

        ``adapter`` is this gateway's own address as the devices know it. Keys that were made under
        another address are useless.
        """
        super().__init__(adapter, str(path))

    async def load(self) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, dict[str, Any]]]:
        """Return all keys, and those of this adapter.

        Raises ``RadioOff`` for a file that cannot be read. Such a file is never an empty store.
        """
        try:
            return await super().load()
        except (OSError, ValueError) as error:
            raise RadioOff(
                f"the keys of the bonded devices cannot be read: {self.filename}: {error}"
            ) from error

    async def save(self, db: dict[str, dict[str, dict[str, Any]]]) -> None:
        """Replace the file."""
        replace_private(self.filename, json.dumps(db, sort_keys=True, indent=1).encode())

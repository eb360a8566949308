"""The keys of bonded devices, for the bumble back-end: one JSON file that its owner alone may
read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bumble.keys import JsonKeyStore

from rpm_stream.app.gateway.ble.radio import RadioOff
from rpm_stream.app.runtime.private import replace_private


class Keys(JsonKeyStore):
    """bumble's key store with a file of mode 0600, written whole or not at all, also when the
    power fails.
    """

    def __init__(self, path: Path, adapter: str) -> None:
        """``adapter`` is our own address as the devices know it: keys made under another one are
        of no use.
        """
        super().__init__(adapter, str(path))

    async def load(self) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, dict[str, Any]]]:
        """All keys, and those of this adapter.

        A file that cannot be read is ``RadioOff``, never an empty store.
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

"""The keys of bonded devices, for the bumble back-end: one JSON file that its owner alone may read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bumble.keys import JsonKeyStore

from rpm_stream.app.gateway.ble.radio import RadioOff


class Keys(JsonKeyStore):
    """bumble's key store with a file of mode 0600, written whole or not at all, also when the power fails."""

    def __init__(self, path: Path, adapter: str) -> None:
        """``adapter`` is our own address as the devices know it: keys made under another one are of no use."""
        super().__init__(adapter, str(path))

    async def load(self) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, dict[str, Any]]]:
        """All keys, and those of this adapter. A file that cannot be read is ``RadioOff``, never an empty store."""
        try:
            return await super().load()
        except (OSError, ValueError) as error:
            raise RadioOff(f"the keys of the bonded devices cannot be read: {self.filename}: {error}") from error

    async def save(self, db: dict[str, dict[str, dict[str, Any]]]) -> None:
        """Replace the file."""
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        beside = self.filename.with_name(f"{self.filename.name}.tmp")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(db, file, sort_keys=True, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.filename)

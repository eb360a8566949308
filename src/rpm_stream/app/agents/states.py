"""States by key, as live objects over the table's sealed blobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.errors import RpmStreamError
from rpm_stream.pipeline.held import read_held
from rpm_stream.pipeline.state_envelope import StateError

State = TypeVar("State")


class UnreadableState(RpmStreamError):
    """The bytes in the changelog for a key are not a usable state. The text gives the reason.

    Logs name the state by its place there, because the key names a person or a device.
    """

    def __init__(
        self, key: bytes, partition: int, offset: int | None, blob: bytes | None, fault: str
    ) -> None:
        super().__init__(fault)
        self.key = key
        self.partition = partition
        self.offset = offset
        self.blob = blob


class Form(NamedTuple, Generic[State]):
    """The functions that convert a state to bytes and back, and a cheap check of the bytes.

    ``unpack`` makes a fresh state where there are no bytes.
    """

    unpack: Callable[[bytes | None, str], State]
    pack: Callable[[State], bytes]
    check: Callable[[bytes], None]


class KeyedStates(Generic[State]):
    """The states of an agent by key."""

    def __init__(self, table: BytesTable, form: Form[State]) -> None:
        self._table = table
        self._form = form
        self.live: dict[bytes, State] = {}

    def get(self, key: bytes, partition: int) -> State:
        """Return the live state of ``key``. Raises UnreadableState."""
        state = self.live.get(key)
        if state is None:
            blob = self._table.blob(key)
            try:
                state = self.live[key] = self.read(key, blob)
            except StateError as error:
                raise UnreadableState(
                    key, partition, self._table.place_of(key)[1], blob, str(error)
                ) from None
        return state

    def read(self, key: bytes, blob: bytes | None) -> State:
        """Unpack the state in a blob. Raises StateError."""
        return self._form.unpack(blob, key.decode(errors="replace"))

    def is_readable(self, key: bytes, blob: bytes) -> bool:
        """Whether a blob is a usable state of ``key``."""
        try:
            self.read(key, blob)
        except StateError:
            return False
        return True

    def begin(self, partitions: set[int]) -> list[UnreadableState]:
        """Drop the live states after a recovery, and return the unusable states of ``partitions``.

        Another worker may have carried on with a live state meanwhile, and the table was restored.
        Every state of ``partitions`` is checked, because the state of a person who sends nothing
        would otherwise stay unnoticed for long. Held states are returned too, even where they are
        mended.
        """
        self.live.clear()
        found = []
        for key in self._table.keys_of(partitions):
            blob = self._table.blob(key) or b""
            partition, offset = self._table.place_of(key)
            try:
                self._form.check(blob)
            except StateError as error:
                held = read_held(blob)
                fault = held.fault if held else str(error)
                found.append(UnreadableState(key, partition or 0, offset, blob, fault))
        return found

    def pack(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the sealed states of ``keys``."""
        return {key: self._form.pack(self.live[key]) for key in keys}

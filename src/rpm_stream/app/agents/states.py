"""States by key: live objects over the table's sealed blobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from rpm_stream.app.engine.recovery import BytesTable
from rpm_stream.errors import RpmStreamError
from rpm_stream.pipeline.held import read_held
from rpm_stream.pipeline.state_envelope import StateError

State = TypeVar("State")


class UnreadableState(RpmStreamError):
    """What stands in the changelog for a key is no state that can be gone on with; the text says
    why.

    Its place there stands for its key, which names a person or a device.
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
    """How a state becomes bytes and comes back (without bytes: a fresh one), and how bytes are
    checked cheaply.
    """

    unpack: Callable[[bytes | None, str], State]
    pack: Callable[[State], bytes]
    check: Callable[[bytes], None]


class KeyedStates(Generic[State]):
    """States by key."""

    def __init__(self, table: BytesTable, form: Form[State]) -> None:
        self._table = table
        self._form = form
        self.live: dict[bytes, State] = {}

    def get(self, key: bytes, partition: int) -> State:
        """The live state of ``key``. Raises UnreadableState."""
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
        """The state that a blob is. Raises StateError."""
        return self._form.unpack(blob, key.decode(errors="replace"))

    def is_readable(self, key: bytes, blob: bytes) -> bool:
        """Whether a blob is a state of ``key`` that can be gone on with."""
        try:
            self.read(key, blob)
        except StateError:
            return False
        return True

    def begin(self, partitions: set[int]) -> list[UnreadableState]:
        """Drop what is live: somebody else may have carried on with it meanwhile, and the table was
        restored.

        Of all states of ``partitions``, those that cannot be gone on with: a silent person's would
        else be missed for long. Held ones are among them, also where they are mended.
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
        """The sealed states of ``keys``."""
        return {key: self._form.pack(self.live[key]) for key in keys}

"""Reads the records that a device has stored, and never deletes any.

It asks for records from the last known one on. If that is not possible, it asks for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from rpm_stream.app.gateway.ble import record_access
from rpm_stream.app.gateway.ble.marks import Mark, Marks, marks_of
from rpm_stream.app.gateway.ble.radio import RadioError
from rpm_stream.app.gateway.ble.record_access import NoResponse, Response

CONTROL: Final = "2A52"
# service to the characteristic of its stored records, and the request for records from a number on
# (None: the service has no filter)
RECORDS: Final[dict[str, tuple[str, Callable[[int], bytes] | None]]] = {
    "1808": ("2A18", record_access.report_since),
    "181F": ("2AA7", record_access.report_from_offset),
    "1822": ("2A5E", None),
}
ASKED_ONLY = frozenset({"2A18"})  # sent only on request (Glucose Service, 3.1)
# without a record or an answer, before a transfer is given up (Glucose Profile, 5.4)
QUIET_SECONDS = 30.0
BUSY_SECONDS = 5.0
BUSY_TIMES = 3

Write = Callable[[bytes], Awaitable[None]]

_log = structlog.get_logger(__name__)


class Transfer:
    """The records that came since a request.

    It tracks whether they came in ascending order, which is the newest, and whether the last known
    record was among them.
    """

    def __init__(self, known: Mark | None) -> None:
        self.known_seen = known is None
        self.ascending = True
        self.newest: Mark | None = None
        self._known = known

    def add(self, mark: Mark) -> None:
        """Note a record."""
        self.known_seen = self.known_seen or mark == self._known
        if self.newest is not None and mark.number < self.newest.number:
            self.ascending = False
        if self.newest is None or mark.number >= self.newest.number:
            self.newest = mark


class StoredRecords:
    """The stored records of one characteristic of a connected device."""

    def __init__(self, service: str, device: str, marks: Marks) -> None:
        """``service`` is one of ``RECORDS``."""
        self.characteristic, self._since = RECORDS[service]
        self._device = device
        self._marks = marks
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[bytes] | None = None
        self._transfer: Transfer | None = None  # None: none was started over this connection
        self._whole = False  # whether everything up to now was read over this connection
        self._heard = 0.0

    def record(self, payload: bytes) -> None:
        """Take a value of the characteristic, requested or not."""
        self._heard = self._loop.time()
        if self._transfer is not None:
            for mark in marks_of(self.characteristic, payload):
                self._transfer.add(mark)

    def answer(self, payload: bytes) -> None:
        """Take an indication of the control point."""
        self._heard = self._loop.time()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(payload)

    async def read(self, write: Write) -> None:
        """Read what is new. ``write`` writes to the control point. Raises ``RadioError``."""
        mark = self._marks.get(self._device, self.characteristic)
        if mark is not None and self._since is not None:
            transfer = self._transfer = Transfer(mark)
            response = await self._ask(write, self._since(mark.number))
            if response is None:
                return
            if not response.cannot_filter and not response.is_empty and transfer.known_seen:
                self._whole = response.succeeded
                return
            # No filter, or another record has that number: its memory was cleared, or counts
            # from the start.
            _log.info("ble.stored_all", because=response.words)
        self._transfer = Transfer(None)
        response = await self._ask(write, record_access.report_all())
        self._whole = response is not None and (response.succeeded or response.is_empty)

    def keep(self) -> None:
        """Store how far the device was read. Call it once all that came is safe.

        An incomplete transfer counts if it came in order, and if only a transfer sends such values.
        A live value of a sensor in the middle of it would hide records that have not come yet.
        """
        transfer = self._transfer
        if transfer is None or transfer.newest is None:
            return
        if self._whole or (
            self.characteristic in ASKED_ONLY and transfer.ascending and transfer.known_seen
        ):
            self._marks.put(self._device, self.characteristic, transfer.newest)

    async def _ask(self, write: Write, request: bytes) -> Response | None:
        """Return the device's answer, None if it gives none or an unreadable one."""
        response: Response | None = None
        for _ in range(BUSY_TIMES):
            response = await self._once(write, request)
            if response is None or response.code != record_access.BUSY:
                return response
            await asyncio.sleep(BUSY_SECONDS)
        return response

    async def _once(self, write: Write, request: bytes) -> Response | None:
        self._answer = self._loop.create_future()
        self._heard = self._loop.time()
        try:
            await write(request)
            while not self._answer.done():
                left = self._heard + QUIET_SECONDS - self._loop.time()
                if left <= 0:
                    _log.warning("ble.stored_no_answer")
                    await self._abort(write)
                    return None
                await asyncio.wait({self._answer}, timeout=left)
            return record_access.parse_response(self._answer.result())
        except NoResponse as error:
            _log.warning("ble.stored_answer_unreadable", fault=str(error))
            return None
        finally:
            self._answer.cancel()
            self._answer = None

    async def _abort(self, write: Write) -> None:
        try:
            await write(record_access.abort())
        except RadioError as error:
            _log.info("ble.stored_abort_failed", fault=str(error))

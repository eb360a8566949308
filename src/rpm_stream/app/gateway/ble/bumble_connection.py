"""Requests over a bumble connection, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
from bumble import att, core, hci
from bumble.device import Connection

from rpm_stream.app.gateway.ble.radio import LinkLost, NotPaired, Refused

Answer = TypeVar("Answer")

WANTS_PAIRING = frozenset(
    {
        att.ErrorCode.INSUFFICIENT_AUTHENTICATION,
        att.ErrorCode.INSUFFICIENT_AUTHORIZATION,
        att.ErrorCode.INSUFFICIENT_ENCRYPTION,
        att.ErrorCode.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
    }
)
KEYS_DIFFER = frozenset(
    {
        hci.HCI_ErrorCode.AUTHENTICATION_FAILURE_ERROR,
        hci.HCI_ErrorCode.PIN_OR_KEY_MISSING_ERROR,
        hci.HCI_ErrorCode.CONNECTION_TERMINATED_DUE_TO_MIC_FAILURE_ERROR,
    }
)

_log = structlog.get_logger(__name__)


class BumbleConnection:
    """A connection whose requests are answered, or end with the connection."""

    def __init__(self, connection: Connection, gone: asyncio.Event) -> None:
        """Watch ``connection``. ``gone`` is set once it has ended."""
        self._connection = connection
        self._gone = gone
        self._reason = 0  # why the connection ended, as an HCI error code
        connection.once(connection.EVENT_DISCONNECTION, self._ended)
        if connection.handle not in connection.device.connections:
            gone.set()  # it ended before this listener was added

    def _ended(self, reason: int) -> None:
        self._reason = reason
        self._gone.set()

    @property
    def ended_for_keys(self) -> bool:
        """Whether the connection has ended because the device has other keys."""
        return self._reason in KEYS_DIFFER

    async def close(self) -> None:
        """Disconnect within at most five seconds."""
        if self._gone.is_set():
            return
        try:
            async with asyncio.timeout(5.0):
                await self.ask(self._connection.disconnect())
        except (LinkLost, Refused, TimeoutError):
            _log.info("ble.link_was_gone")
        self._gone.set()

    async def ask(
        self, request: Coroutine[Any, Any, Answer], refused: Callable[[str], Exception] = Refused
    ) -> Answer:
        """Return the answer to ``request``. Raises the errors of ``radio.py``.

        When a connection ends, bumble cancels the requests that wait. In the calling task that
        would look like a cancellation of the caller, so the request runs in a task of its own.
        """
        if self._gone.is_set():
            request.close()
            raise LinkLost("the connection has ended")
        task = asyncio.ensure_future(request)
        ended = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.cancelled():
                raise LinkLost("the connection has ended")
            return task.result()
        except att.ATT_Error as error:
            words = att.ErrorCode(error.error_code).name.replace("_", " ").lower()
            raise (NotPaired if error.error_code in WANTS_PAIRING else refused)(words) from error
        except (core.TimeoutError, TimeoutError) as error:
            await self._hang_up()
            raise LinkLost("the device did not answer") from error
        except (hci.HCI_Error, core.ProtocolError) as error:
            raise refused(str(error.error_name or "the device refused")) from error
        except core.BaseBumbleError as error:
            raise LinkLost(f"the connection has ended ({type(error).__name__})") from error
        finally:
            await _stopped(task, ended)

    async def _hang_up(self) -> None:
        """Close the connection: ATT allows no further request after one without an answer."""
        if not self._gone.is_set():
            await self.close()


async def _stopped(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

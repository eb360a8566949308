"""bumble's GATT client, changed so that no value is confirmed before it was received."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from bumble import att
from bumble.device import Connection
from bumble.gatt_client import Client

UNCLAIMED = 64  # most values that wait for their subscription
CLAIM_SECONDS = 10.0  # after this time a value without a subscription is confirmed and dropped

_log = structlog.get_logger(__name__)


class Values(Client):
    """bumble's GATT client with one receiver for each characteristic.

    A bonded device sends as soon as the connection is encrypted, before this gateway has subscribed
    again. bumble would confirm such a value and drop it. Here the value waits for its receiver, and
    an indication is confirmed only once it was received.
    """

    def __init__(self, bearer: Connection) -> None:
        super().__init__(bearer)
        self._receivers: dict[int, Callable[[bytes], None]] = {}
        self._unclaimed: list[tuple[int, bytes, bool]] = []

    def receive(self, handle: int, receiver: Callable[[bytes], None]) -> None:
        """Deliver the values of ``handle`` to ``receiver``, first those that already wait."""
        self._receivers[handle] = receiver
        waiting = self._unclaimed
        self._unclaimed = []
        for value in waiting:
            self._arrived(*value)

    def on_att_handle_value_notification(
        self, notification: att.ATT_Handle_Value_Notification
    ) -> None:
        """Take a value that needs no confirmation."""
        self._arrived(notification.attribute_handle, notification.attribute_value, False)

    def on_att_handle_value_indication(self, indication: att.ATT_Handle_Value_Indication) -> None:
        """Take a value that the device keeps until it is confirmed."""
        self._arrived(indication.attribute_handle, indication.attribute_value, True)

    def _arrived(self, handle: int, value: bytes, confirm: bool) -> None:
        receiver = self._receivers.get(handle)
        if receiver is not None:
            receiver(bytes(value))
            if confirm:
                self.send_confirmation(att.ATT_Handle_Value_Confirmation())
        elif confirm or len(self._unclaimed) < UNCLAIMED:
            if not self._unclaimed:
                asyncio.get_running_loop().call_later(CLAIM_SECONDS, self._give_up)
            self._unclaimed.append((handle, value, confirm))

    def _give_up(self) -> None:
        """Confirm values without a receiver: otherwise the device would send nothing else."""
        unclaimed = self._unclaimed
        self._unclaimed = []
        if unclaimed:
            _log.warning("ble.values_unclaimed", count=len(unclaimed))
        for _, _, confirm in unclaimed:
            if confirm and self.connection.handle in self.connection.device.connections:
                self.send_confirmation(att.ATT_Handle_Value_Confirmation())

    def on_disconnection(self, *args: Any) -> None:
        """Drop everything that waits for the ended connection."""
        super().on_disconnection(*args)
        self._receivers.clear()
        self._unclaimed.clear()


def swap_client(connection: Connection) -> None:
    """Give a new connection the client ``Values``.

    Call it from the connection's event, before anything can arrive.
    """
    connection.gatt_client = Values(connection)

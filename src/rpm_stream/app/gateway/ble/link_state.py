"""The state that the links of both Bluetooth stacks share: address, bond and end."""

from __future__ import annotations

import asyncio


class LinkState:
    """The state of one connection, as the ``radio.Link`` of a stack shows it.

    A stack's link derives from this class, sets ``_bonded`` when keys are made or deleted, and sets
    ``_gone`` when the connection ends.
    """

    def __init__(self, address: str, bonded: bool) -> None:
        """Start a link that is up.

        ``address`` is the one of the sighting. ``bonded`` is whether keys of this device are kept.
        """
        self._address = address
        self._bonded = bonded
        self._gone = asyncio.Event()

    @property
    def address(self) -> str:
        """The address, as in the sighting."""
        return self._address

    @property
    def bonded(self) -> bool:
        """Whether keys of this device are kept; False if the system does not report it."""
        return self._bonded

    @property
    def gone(self) -> asyncio.Event:
        """Set once the connection has ended."""
        return self._gone

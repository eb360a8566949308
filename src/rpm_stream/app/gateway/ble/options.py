"""The settings of a hub and its connections, and what these share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from rpm_stream.app.gateway.ble.board import Board
from rpm_stream.app.gateway.ble.marks import Marks


@dataclass(frozen=True, kw_only=True)
class HubOptions:
    """The settings of a hub that a deployment may change; times in seconds."""

    links: int = 7  # connections at once: the limit of the smallest controllers
    connect_within: float = 10.0
    retry_first: float = 1.0
    retry_longest: float = 30.0
    radio_longest: float = 60.0  # between two tries to open an adapter that is gone
    rescan_after: float = 120.0  # without any advertisement, before the scan is restarted
    reset_after: float = 300.0  # the same before the adapter is reset, if no device is connected
    # The same if a device is connected. Both times double with each reset in vain, up to six hours.
    reset_anyway_after: float = 1800.0
    failures_to_reset: int = 6  # failed connections in a row, over all devices
    idle_after: float = 60.0  # without values, before a link is closed for a device that waits
    look_every: float = 10.0
    chance: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """The settings of a session that a deployment may change; times in seconds.

    ``zone`` is the zone of the devices' clocks.
    """

    clock: Callable[[], datetime]
    zone: tzinfo | None  # None: the zone of this machine
    gather: float = 5.0  # how long a value of a stream may wait for others
    battery_every: float = 6 * 3600.0
    rssi_every: float = 60.0


@dataclass(frozen=True)
class GatewayContext:
    """What all connections of a gateway share."""

    marks: Marks
    board: Board
    options: SessionOptions

"""The gateway client (public as ``rpm_stream.gateway``); the Bluetooth radio is in ``ble``.

Importing it does not import Faust.
"""

from rpm_stream.app.gateway.client import Gateway
from rpm_stream.app.gateway.link import GatewayOptions
from rpm_stream.app.gateway.spool_disk import SpoolFull, SpoolInUse
from rpm_stream.app.gateway.wire import BadFrame, FrameTooLarge

__all__ = ["BadFrame", "FrameTooLarge", "Gateway", "GatewayOptions", "SpoolFull", "SpoolInUse"]

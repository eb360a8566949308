"""The gateway's client (public as ``rpm_stream.gateway``), and its radio in ``ble``.

Imports no Faust.
"""

from rpm_stream.app.gateway.client import Gateway
from rpm_stream.app.gateway.link import GatewayOptions
from rpm_stream.app.gateway.spool import SpoolFull, SpoolInUse
from rpm_stream.app.gateway.wire import BadFrame, FrameTooLarge

__all__ = ["BadFrame", "FrameTooLarge", "Gateway", "GatewayOptions", "SpoolFull", "SpoolInUse"]

"""The client for gateway developers: sends frames to the broker, keeps them until they are stored,
reads rejects.

>>> from rpm_stream.gateway import Gateway, Notification
>>> Gateway.__name__, Notification.__name__
('Gateway', 'Notification')

Importing it loads neither Faust nor any stage of the service. ``topics/README.md`` shows a whole
program.
"""

from rpm_stream.app.gateway import (
    BadFrame,
    FrameTooLarge,
    Gateway,
    GatewayOptions,
    SpoolFull,
    SpoolInUse,
)
from rpm_stream.records import Frame, Measurement, Notification, Reject

__all__ = [
    "BadFrame",
    "Frame",
    "FrameTooLarge",
    "Gateway",
    "GatewayOptions",
    "Measurement",
    "Notification",
    "Reject",
    "SpoolFull",
    "SpoolInUse",
]

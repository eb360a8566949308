"""The one exception of the decoders.

A decoder either returns a ``Payload`` or raises ``DecodeError``. Any other exception is a defect.
The error has the reason for the reject and a detail for the developer of the gateway: positions,
sizes and names of fields, never the payload's values and never an identifier.
"""

from __future__ import annotations

from rpm_stream.errors import RpmStreamError
from rpm_stream.records.terms import Reason


class DecodeError(RpmStreamError):
    """A payload or an entry is no reading.

    ``reason`` is a code of ``records.Reason``. ``detail`` is one line for a developer, without
    patient data.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail

"""rpm-stream: BLE device frames in, explained alerts and FHIR R4 Observations out."""

__version__ = "0.1.0"

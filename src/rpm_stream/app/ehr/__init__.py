"""The electronic health record: writes Observations to a FHIR server."""

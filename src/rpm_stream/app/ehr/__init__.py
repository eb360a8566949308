"""The electronic health record: Observations written to a FHIR server."""

"""FHIR R4 Observations that a gateway or an EHR sends."""

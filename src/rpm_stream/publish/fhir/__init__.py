"""Readings, summaries, patients and devices as FHIR R4 resources."""

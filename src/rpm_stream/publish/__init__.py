"""Records to wire text: FHIR R4 Observations, 15-minute summaries, and the rows of the feed.

Pure; no clock, no I/O.
"""

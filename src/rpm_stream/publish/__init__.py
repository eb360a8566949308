"""Records to wire text: FHIR R4 Observations, 15-minute summaries, and the rows of the feed.

All functions are pure, without a clock or I/O.
"""

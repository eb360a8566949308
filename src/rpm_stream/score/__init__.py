"""Turn readings into findings and scores.

Limits and NEWS2 are rules. River detectors learn what is usual for a person.
"""

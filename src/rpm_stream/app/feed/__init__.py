"""The feed: what a clinician sees.

A plain consumer of the topics; it writes nothing but actions.
"""

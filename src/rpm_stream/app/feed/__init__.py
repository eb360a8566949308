"""The feed that a clinician sees.

It is a plain consumer of the topics, and writes nothing but actions.
"""

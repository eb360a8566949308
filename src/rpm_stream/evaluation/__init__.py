"""Measures the service on labelled stays: pure functions over what the pipeline returned.

``collect`` runs one patient through the replay. ``cohort`` lays all stays side by side. ``alarms``,
``discrimination``, ``calibration`` and ``bootstrap`` hold one measure each, ``scored`` applies them
to every score, and ``shown`` measures the alert feed. ``report`` has the records of the results,
``assess`` makes them, and ``tables`` turns them into text.
"""

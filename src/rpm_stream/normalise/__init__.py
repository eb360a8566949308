"""Decoded entries to readings, duplicates and refusals.

``verb.py`` has the steps in order. ``stream.py`` takes a plain value of a stream by a short way.
Each other file answers a question.

- When was it measured, and does the device's time count? ``placement.py``, ``sensor_session.py``
  (glucose sensors), ``clock_skew.py`` (a clock that is off), ``stored_values.py`` (a memory that
  is read out after 30 days or more).
- Whose is it? ``wearer.py``.
- Did it come before? ``duplicates.py`` decides, by ``value_identity.py`` (what identifies a value)
  and by what the device's memory keeps: ``seen_entries.py`` and ``sightings.py``.
- Can a body have this value? ``plausibility.py``.

These do not belong here: decoding, records of topics other than readings, alert limits, and a clock
of this machine.
"""

"""Alerts as clinicians read them: rows, timeline, words."""

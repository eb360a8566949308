"""Findings -> alerts: episodes by patient and group, their priority, their life."""

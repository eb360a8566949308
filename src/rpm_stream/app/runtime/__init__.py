"""Settings, clock, logs, metrics, errors and private files of every part of the service."""

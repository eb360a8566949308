"""What every part of the service uses of the machine: settings, clock, logs, metrics, errors,
private files.
"""

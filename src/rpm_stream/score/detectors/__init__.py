"""The detectors, one a file, listed in ``table.py``."""

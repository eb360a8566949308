"""GATT characteristics: a decoder a file, listed in ``decoders.py``."""

"""GATT characteristics: a decoder in each file, listed in ``decoders.py``."""

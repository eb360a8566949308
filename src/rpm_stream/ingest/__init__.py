"""Frames to decoded values: the decoders of each kind of entry."""

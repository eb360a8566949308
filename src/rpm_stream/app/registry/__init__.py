"""The registry (``rpm.registry``): read and followed, written, and loaded from a file."""

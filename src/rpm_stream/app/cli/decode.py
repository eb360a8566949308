"""``rpm-stream decode``: GATT payloads from stdin, one line each."""

from __future__ import annotations

import sys


def decode() -> None:
    """Decode GATT payloads. Each JSON line in gives one JSON line out. Stateless.

    Example: echo '{"characteristic":"2A37","hex":"164e1b031203"}' | rpm-stream decode
    """
    from rpm_stream.ingest.decode_line import decode_line

    output = sys.stdout.buffer
    for line in sys.stdin.buffer:
        output.write(decode_line(line) + b"\n")
        if sys.stdin.isatty():
            output.flush()
    output.flush()

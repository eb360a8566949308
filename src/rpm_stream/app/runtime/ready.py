"""A stage reports to its supervisor once, over an inherited pipe, that it does its work.

An agent reports when its partitions are assigned, their states are restored and the registry is
read. The feed reports when it answers, the sink when its partitions are assigned. A stage without
such a pipe reports nothing.
"""

from __future__ import annotations

import os

READY_FD = "RPM_READY_FD"  # the file descriptor to write to, which the supervisor sets
LOOK_SECONDS = 0.05


def tell_ready() -> None:
    """Report to the supervisor that this stage does its work now. A second call does nothing."""
    given = os.environ.pop(READY_FD, None)
    if given is None:
        return
    try:
        os.write(int(given), b"\n")
        os.close(int(given))
    except (OSError, ValueError):  # the other end is closed
        return

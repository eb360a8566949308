"""When a stage does its work: it tells its supervisor, once, over a pipe that it inherits.

For an agent that is when its partitions are assigned, their states restored and the registry read;
for the feed when it answers; for the sink when its partitions are assigned. A stage that nobody
listens to tells nobody.
"""

from __future__ import annotations

import os

READY_FD = "RPM_READY_FD"  # the file descriptor to write to; the supervisor sets it, no person does
LOOK_SECONDS = 0.05


def tell_ready() -> None:
    """Tell the supervisor that this stage does its work now; the second time it does nothing."""
    given = os.environ.pop(READY_FD, None)
    if given is None:
        return
    try:
        os.write(int(given), b"\n")
        os.close(int(given))
    except (OSError, ValueError):  # nobody listens any more
        return

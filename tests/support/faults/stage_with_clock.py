"""A stage on a host whose clock is wrong, for where libfaketime is not installed.

usage: stage_with_clock.py SECONDS STAGE

Every clock that the stage or a library of it reads as the time of day goes through ``time.time``.
"""

from __future__ import annotations

import sys
import time

OFF, REAL = float(sys.argv[1]), time.time
time.time = lambda: REAL() + OFF
time.time_ns = lambda: int((REAL() + OFF) * 1e9)

# Imported after the clock is set, because libraries keep a reference to the function.
from rpm_stream.app.cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.argv[1:] = ["stage", sys.argv[2]]
    main()

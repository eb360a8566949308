"""The embedded broker's guard. It runs Java and ends it when the owner process is gone.

``java_process.py`` starts it as a script. It uses the standard library only, so that it starts at
once. It has a session of its own, so that Ctrl-C reaches only the owner, who decides. Its stdin is
a pipe that the owner holds open and never writes to. End of file means "stop", also when the owner
was killed. On Linux the kernel ends Java too if the guard itself is killed.

    usage: guard.py LOG COMMAND...

The guard prints Java's process id on stdout. Its exit status is Java's.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

POLL_SECONDS = 0.2
# A clean stop takes 1 to 2 s. A broker that hangs for longer has flushed all that it will.
STOP_SECONDS = 20.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Run the command with its output in the log, until it ends or the owner does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    owner = os.getppid()
    with Path(arguments[0]).open("ab", buffering=0) as log:
        child = subprocess.Popen(
            arguments[1:],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Unsafe beside other threads, but this process has only one.
            preexec_fn=_die_with_guard if sys.platform == "linux" else None,  # noqa: PLW1509
        )
    signal.signal(signal.SIGTERM, lambda *_: _end(child))
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
        # A forked child of the owner may hold the pipe open after the owner's death, so the parent
        # is checked too.
        if ready or os.getppid() != owner:
            _end(child)
    return child.returncode


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGCONT)  # a paused process would keep SIGTERM waiting
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _die_with_guard() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

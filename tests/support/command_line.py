"""``rpm-stream`` in a process of its own, as a person calls it, and its message on wrong use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NOTHING_LISTENS = "127.0.0.1:1"  # tcpmux: nothing of ours, and no user's, takes a port below 1024


def run(
    *arguments: str, folder: Path, code: str | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a child without this shell's settings. ``code`` runs in it first."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RPM_")}
    environment |= {
        "RPM_DATA_DIR": str(folder),
        "RPM_METRICS_PORT": "0",
        "RPM_BOOTSTRAP": NOTHING_LISTENS,
        **settings,
    }
    start = ["-m", "rpm_stream"] if code is None else ["-c", code]
    return ended([sys.executable, *start, *arguments], environment, folder)


def ended(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without input, and return what it wrote."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def one_line(ran: subprocess.CompletedProcess[str], status: int = 2) -> str:
    """Return the line on stderr of a wrong use: status 2, and nothing on stdout."""
    assert (ran.returncode, ran.stdout) == (status, ""), (ran.returncode, ran.stdout, ran.stderr)
    assert re.fullmatch(r"rpm-stream: [^\n]+\n", ran.stderr), ran.stderr
    return ran.stderr

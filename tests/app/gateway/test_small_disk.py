"""A disk that the spool has filled: when the broker is back, there is room again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.gateway import small_disk

MOUNTED = 'mount -t tmpfs -o size="$1" tmpfs "$2" || exit 1; shift 2; exec "$@"'
pytestmark = pytest.mark.small_disk


@pytest.mark.parametrize(
    ("story", "disk", "octets"),
    [
        ("recovers", "3m", 400),
        ("recovers", "8m", 9_000),
        ("recovers", "21m", 100_000),
        ("live_beside_backlog", "8m", 9_000),
        ("ends_without_a_new_frame", "8m", 9_000),
    ],
)
def test_a_full_disk_recovers(tmp_path: Path, story: str, disk: str, octets: int) -> None:
    """On a real small file system, which only the child process sees."""
    script = str(small_disk.__file__)
    child = [str(tmp_path), sys.executable, script, str(tmp_path), story, str(octets)]
    command = ["unshare", "-Urm", "sh", "-c", MOUNTED, "sh", disk, *child]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)

"""What the spool has taken it keeps: kill -9, a full disk, a second process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rpm_stream.app.gateway.spool import Spool, SpoolFull, SpoolInUse

PUT_AND_WAIT = """
import sys
from pathlib import Path
from rpm_stream.app.gateway.spool import Spool
spool = Spool(Path(sys.argv[1]))
for number in range(100):
    spool.put("strap", [lambda seq: b"frame %d" % seq])
print("stored", flush=True)
sys.stdin.read()
"""


def wire(seq: int) -> bytes:
    """The bytes of the frame with this number."""
    return b"frame %d" % seq


def test_frames_come_back_in_order_until_they_are_forgotten(tmp_path: Path) -> None:
    """Numbers go on per device, also after a restart."""
    path = tmp_path / "a.spool"
    spool = Spool(path)
    assert spool.put("strap", [wire, wire]) == 2
    assert spool.put("cuff", [wire]) == 1
    spool.close()
    spool = Spool(path)
    spool.put("strap", [wire])
    waiting = spool.after(0, 10)
    assert [(frame.device, frame.wire) for frame in waiting] == [
        ("strap", b"frame 0"),
        ("strap", b"frame 1"),
        ("cuff", b"frame 0"),
        ("strap", b"frame 2"),
    ]
    spool.forget(waiting[1].id)
    assert [frame.id for frame in spool.after(0, 10)] == [frame.id for frame in waiting[2:]]
    assert [frame.id for frame in spool.after(waiting[2].id, 10)] == [waiting[3].id]
    assert (spool.count(), spool.devices()) == (2, {"strap", "cuff"})


def test_boot_is_the_spools_life(tmp_path: Path) -> None:
    """The same spool goes on counting from the same boot; a new spool is a new one."""
    first = Spool(tmp_path / "a.spool")
    boot = first.boot
    first.close()
    assert Spool(tmp_path / "a.spool").boot == boot
    assert Spool(tmp_path / "b.spool").boot != boot


def test_kill_dash_nine_loses_nothing_and_gives_no_number_twice(tmp_path: Path) -> None:
    """A frame is durable when put() has returned."""
    path = tmp_path / "a.spool"
    with subprocess.Popen(
        [sys.executable, "-c", PUT_AND_WAIT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "stored\n"
        with pytest.raises(SpoolInUse):
            Spool(path)
        child.kill()
    spool = Spool(path)
    assert [frame.wire for frame in spool.after(0, 1000)] == [wire(seq) for seq in range(100)]
    spool.put("strap", [wire])
    assert spool.after(0, 1000)[-1].wire == wire(100)


def test_a_full_disk_is_told_and_stores_nothing_of_the_call(tmp_path: Path) -> None:
    """All or none; what was there stays, and there is room again once frames are gone."""
    spool = Spool(tmp_path / "a.spool", max_bytes=200_000)
    stored = 0
    with pytest.raises(SpoolFull):
        for _ in range(100):
            stored += spool.put("strap", [lambda seq: b"%06d" % seq + bytes(9_000)] * 2)
    waiting = spool.after(0, 1000)
    assert [int(frame.wire[:6]) for frame in waiting] == list(range(stored))
    assert stored > 0
    spool.forget(waiting[-1].id)
    spool.put("strap", [wire])
    assert spool.after(0, 1000)[0].wire == wire(stored)  # no number was used up by the refused call


def test_a_maker_that_fails_leaves_the_counter(tmp_path: Path) -> None:
    """A frame that cannot be written uses no number."""
    spool = Spool(tmp_path / "a.spool")

    def fail(seq: int) -> bytes:
        raise ValueError(str(seq))

    with pytest.raises(ValueError, match="1"):
        spool.put("strap", [wire, fail])
    spool.put("strap", [wire])
    assert [frame.wire for frame in spool.after(0, 10)] == [b"frame 0"]


def test_a_file_that_is_no_spool_is_told(tmp_path: Path) -> None:
    """Not overwritten."""
    path = tmp_path / "a.spool"
    path.write_bytes(b"letters, not a database" * 100)
    with pytest.raises(OSError, match="no spool"):
        Spool(path)
    assert path.read_bytes().startswith(b"letters")

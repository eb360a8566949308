"""What the spool has taken it keeps: kill -9, a full disk, a second process; and it gives each
device its turn.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.gateway.spool import Spool, Spooled
from rpm_stream.app.gateway.spool_disk import SpoolFull, SpoolInUse

MUCH = 10**9

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


def waiting(spool: Spool, limit: int = 1000, octets: int = MUCH) -> list[Spooled]:
    """What would be sent now."""
    return spool.in_turn({}, limit, octets)


def last(frames: list[Spooled]) -> dict[str, int]:
    """How far these frames are of each device."""
    return {frame.device: frame.id for frame in frames}


def test_frames_come_back_in_order_until_they_are_forgotten(tmp_path: Path) -> None:
    """Numbers go on per device, also after a restart."""
    path = tmp_path / "a.spool"
    spool = Spool(path)
    assert spool.put("strap", [wire, wire]) == 2
    assert spool.put("cuff", [wire]) == 1
    spool.close()
    spool = Spool(path)
    spool.put("strap", [wire])
    there = waiting(spool)
    assert [(frame.device, frame.wire) for frame in there] == [
        ("cuff", b"frame 0"),
        ("strap", b"frame 0"),
        ("strap", b"frame 1"),
        ("strap", b"frame 2"),
    ]
    spool.forget(last(there[1:3]))
    assert waiting(spool) == [there[0], there[3]]
    assert spool.in_turn(last(there[:1]), 10, MUCH) == [there[3]]
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
        [sys.executable, "-c", PUT_AND_WAIT, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "stored\n"
        with pytest.raises(SpoolInUse):
            Spool(path)
        child.kill()
    spool = Spool(path)
    assert [frame.wire for frame in waiting(spool)] == [wire(seq) for seq in range(100)]
    spool.put("strap", [wire])
    assert waiting(spool)[-1].wire == wire(100)


def test_a_full_disk_is_told_and_stores_nothing_of_the_call(tmp_path: Path) -> None:
    """All or none; what was there stays, and there is room again once frames are gone."""
    spool = Spool(tmp_path / "a.spool", max_bytes=200_000)
    stored = 0
    with pytest.raises(SpoolFull):
        for _ in range(100):
            stored += spool.put("strap", [lambda seq: b"%06d" % seq + bytes(9_000)] * 2)
    there = waiting(spool)
    assert [int(frame.wire[:6]) for frame in there] == list(range(stored))
    assert stored > 0
    spool.forget(last(there))
    spool.put("strap", [wire])
    assert waiting(spool)[0].wire == wire(stored)  # no number was used up by the refused call


def test_a_maker_that_fails_leaves_the_counter(tmp_path: Path) -> None:
    """A frame that cannot be written uses no number."""
    spool = Spool(tmp_path / "a.spool")

    def fail(seq: int) -> bytes:
        raise ValueError(str(seq))

    with pytest.raises(ValueError, match="1"):
        spool.put("strap", [wire, fail])
    spool.put("strap", [wire])
    assert [frame.wire for frame in waiting(spool)] == [b"frame 0"]


def test_a_file_that_is_no_spool_is_told(tmp_path: Path) -> None:
    """Not overwritten."""
    path = tmp_path / "a.spool"
    path.write_bytes(b"letters, not a database" * 100)
    with pytest.raises(OSError, match="not a spool"):
        Spool(path)
    assert path.read_bytes().startswith(b"letters")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abcd"), st.integers(1, 30)),  # this device stores so many frames
        st.tuples(st.none(), st.integers(1, 20)),  # the broker takes a batch of so many
    ),
    max_size=30,
)


@given(STEPS, st.integers(1, 200), st.booleans())
def test_every_device_has_its_turn_and_keeps_its_order(
    steps: list[tuple[str | None, int]], octets: int, remembered: bool
) -> None:
    """Whatever waits of others, a device is in the next batch; of each, frames leave as they came,
    each once.

    ``remembered``: the batch is forgotten only later, as on a full disk.
    """
    put: dict[str, list[bytes]] = {device: [] for device in "abcd"}
    sent: dict[str, list[bytes]] = {device: [] for device in "abcd"}
    done: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "a.spool", max_bytes=10**6)  # a small ballast too
        for device, count in [*steps, (None, 10_000)]:
            if device is not None:
                spool.put(device, [wire] * count)
                put[device] += map(wire, range(len(put[device]), len(put[device]) + count))
                continue
            batch = spool.in_turn(done, count, MUCH if count == 10_000 else octets)
            waits = {device for device in put if len(put[device]) > len(sent[device])}
            assert {frame.device for frame in batch} == waits
            assert len(batch) <= max(count, len(waits))
            assert (
                sum(len(frame.wire) for frame in batch[len(waits) : -1]) <= octets
                or count == 10_000
            )
            for frame in batch:
                sent[frame.device].append(frame.wire)
            done |= last(batch)
            if not remembered:
                spool.forget(done)
                done.clear()
        spool.close()
    assert sent == put


def test_a_live_frame_is_in_the_next_batch_whatever_waits(tmp_path: Path) -> None:
    """A day of one device, 288 frames of 27 kB: the others are served at once, as often as it."""
    spool = Spool(tmp_path / "a.spool")
    spool.put_ready([("strap", bytes(27_000))] * 288)
    spool.put_ready([("cuff", b"cuff"), ("scale", b"scale")])
    first = spool.in_turn({}, 500, 512 * 1024)
    assert [frame.device for frame in first[:3]] == ["cuff", "scale", "strap"]
    assert 512 * 1024 <= sum(len(frame.wire) for frame in first) < 512 * 1024 + 27_000

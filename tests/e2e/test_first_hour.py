"""The gateway developer's first hour: ``rpm-stream up``, and the programs of topics/README.md as
they stand there.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from support.command_line import ended
from support.kafka.service import PATIENCE_SECONDS
from support.paths import repository

from rpm_stream.app.kafka import names
from rpm_stream.app.stages.demo import free_ports

README = repository("topics", "README.md")
PROGRAMS = re.findall(
    r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
SEND, READ, CLIENT = "send.py", "read.py", "client.py"
STARTS = "Kafka is up at "
READY = "rpm-stream: ready: "
# so many times as fast as all of ``up`` must the first frame's answer be: machines differ
PROMPT = 4
OTHERS = 2  # a program's own start, and the broker's


def lines_of(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def wait_for(what: str, condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.05)
    return found


class Up:
    """``rpm-stream up`` in a folder of its own, and a newcomer's terminal beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "up.log"
        self.feed = free_ports(18088, 1)
        self.environment = {
            **os.environ,
            "RPM_DATA_DIR": str(folder / "data"),
            "RPM_METRICS_PORT": "0",
            "RPM_FEED_PORT": str(self.feed),
            "PYTHONUNBUFFERED": "1",
        }
        self.began = time.monotonic()
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "rpm_stream", "up", "--port", "0"]
            self.process = subprocess.Popen(
                command, env=self.environment, stderr=log, stdout=log, cwd=folder
            )
        started = wait_for("Kafka is up", lambda: re.search(STARTS + r"(\S+),", lines_of(self.log)))
        self.bootstrap = started[1]
        self.environment["RPM_BOOTSTRAP"] = self.bootstrap

    def cli(self, *words: str) -> list[Any]:
        command = [sys.executable, "-m", "rpm_stream", *words]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def run(self, program: str, *words: str) -> str:
        """What one of the programs prints, run as it stands in the file."""
        command = [sys.executable, program, *words]
        done = ended(command, self.environment, self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def reading(self) -> Iterator[Callable[[], list[str]]]:
        """The reader, while it runs; gives what it has printed so far.

        It must end well on Ctrl-C.
        """
        printed = self.folder / "read.out"
        with printed.open("wb") as out:
            # a shell's background job would hand on "ignore"
            signal.signal(signal.SIGINT, signal.default_int_handler)
            reader = subprocess.Popen(
                [sys.executable, READ], env=self.environment, stdout=out, cwd=self.folder
            )
        try:
            yield lambda: lines_of(printed).splitlines()
        finally:
            reader.send_signal(signal.SIGINT)
            assert reader.wait(30) == 0

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0, lines_of(self.log)[-4000:]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("first-hour")
    for name, program in zip((SEND, READ, CLIENT), PROGRAMS, strict=True):
        (folder / name).write_text(program, encoding="utf-8")
    up = Up(folder)
    try:
        yield up
    finally:
        up.stop()


async def first_answer(up: Up, device: str) -> float:
    """Seconds from a frame that is sent in the moment of "ready" to its reading."""
    producer = AIOKafkaProducer(bootstrap_servers=up.bootstrap, enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        names.READINGS, bootstrap_servers=up.bootstrap, auto_offset_reset="earliest"
    )
    await producer.start()
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while READY not in lines_of(up.log):
                await asyncio.sleep(0.01)
            now, began = datetime.now(UTC).isoformat(), time.monotonic()
            frame = {
                "v": 1,
                "frame": "first",
                "gateway": "g",
                "device": device,
                "seq": 0,
                "boot": now,
                "sent_at": now,
                "measurements": [{"at": now, "vital": "weight", "value": "80", "unit": "kg"}],
            }
            await producer.send_and_wait(
                names.FRAMES, json.dumps(frame).encode(), key=device.encode()
            )
            while b'"frame":"first"' not in (await consumer.getone()).value:
                continue
            return time.monotonic() - began
    finally:
        await producer.stop()
        await consumer.stop()


def test_ready_is_said_when_a_frame_is_read_at_once(service: Up) -> None:
    """The first test of this module: everything but "ready" is there already when the frame is
    sent.
    """
    service.cli("registry", "assign", "scale-1", "patient-2", "--at", "2026-01-01T00:00:00Z")
    assert READY not in lines_of(service.log), "said before the stages can have begun to read"
    answered = asyncio.run(first_answer(service, "scale-1"))
    started = time.monotonic() - service.began - answered
    assert answered * PROMPT < started, (
        f"{answered:.2f} s after ready, and {started:.2f} s until then"
    )
    assert httpx.get(f"http://127.0.0.1:{service.feed}/healthz", timeout=10).json()["ready"] is True


def test_the_programs_run_as_they_stand(service: Up) -> None:
    """From nothing to a reading, an alert and a reject of one's own."""
    service.cli("registry", "assign", "strap-3", "patient-1", "--at", "2026-01-01T00:00:00Z")
    with service.reading() as printed:

        def seen(*words: str) -> Any:
            def line() -> str | None:
                return next(
                    (line for line in printed() if all(word in line for word in words)), None
                )

            return wait_for(f"a line with {words}", line)

        assert service.run(SEND).startswith("sent to partition ")
        assert seen("reading patient-1 heart_rate 72 /min")
        service.run(SEND, "00be")
        assert seen("reading patient-1 heart_rate 190 /min")
        assert seen("alert patient-1", "open - ")
        service.run(SEND, "16")
        assert seen("reject strap-3 truncated - ")
        service.run(SEND, "0048", "strap-4")
        assert seen("reject strap-4 unknown_device - ")
        sent = service.run(CLIENT).splitlines()
        assert [line.split()[0] for line in sent] == ["stored", "stored", "sent", "reject"]
        assert "truncated" in sent[-1]

        def said() -> list[str]:
            return [line for line in printed() if line.startswith("reading patient-1")]

        # the client reads the reject of its second frame, and the reader this reading of its first
        wait_for("the client's reading is read", lambda: len(said()) >= 3)
        assert len(said()) == 3

        (_, again) = service.cli(
            "registry", "assign", "strap-4", "patient-1", "--at", "2026-01-01T00:00:00Z"
        )
        assert again["sent_again"]["frames"] == 1
        wait_for(
            "what was sent again is read",
            lambda: [x for x in printed() if x.startswith("reading")][4:],
        )


def test_bytes_that_are_refused_again_name_their_reject(service: Up) -> None:
    with service.reading() as printed:
        before = len(printed())

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
                for _ in range(2):
                    await producer.send_and_wait(names.FRAMES, b"{", key=b"strap-3")

        asyncio.run(send())
        known = wait_for(
            "a known reject",
            lambda: [x for x in printed()[before:] if x.startswith("again strap-3")],
        )
        (rejected,) = [
            line.split()[-1] for line in printed() if line.startswith("reject strap-3 bad_json")
        ]
        assert known[0].split()[-1] == rejected


def test_an_assignment_sends_again_without_a_pause(service: Up) -> None:
    """What was refused for want of a wearer costs an assignment hardly more than one without."""

    def assign(device: str) -> float:
        began = time.monotonic()
        service.cli("registry", "assign", device, "patient-3", "--at", "2026-01-01T00:00:00Z")
        return time.monotonic() - began

    for device in ("strap-5", "strap-6"):
        service.run(SEND, "0048", device)
    wait_for(
        "both are refused", lambda: len(service.cli("rejects", "list", "--device", "strap-6")) == 1
    )
    plain, again = (
        min(assign("strap-7"), assign("strap-8")),
        min(assign("strap-5"), assign("strap-6")),
    )
    assert again < OTHERS * plain, f"{again:.2f} s, and {plain:.2f} s where nothing was refused"
    read = "patient-3"
    with service.reading() as printed:
        wait_for(
            "both are read",
            lambda: len([x for x in printed() if x.startswith(f"reading {read}")]) == 2,
        )

"""The whole service as an operator runs it, and ways to look at it from outside.

It has one broker, one ``rpm-stream worker`` with all four stages, and a FHIR server that refuses
everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families
from support.kafka.service import Service, read, running

from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.metrics import STAGES
from rpm_stream.app.stages.demo import free_ports

SPEED = 120.0  # a second is two minutes
TOKEN = "zaphod-token"
UNITS = {"oxygen_saturation": "%", "heart_rate": "/min", "body_temperature": "Cel"}


class Refuses(BaseHTTPRequestHandler):
    """A FHIR server that takes nothing.

    Its answer repeats whom the request is about, as servers do.
    """

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = (
            b'{"resourceType":"OperationOutcome","issue":[{"diagnostics":"Patient zaphod-one is'
            b' unknown"}]}'
        )
        self.send_response(422)
        self.send_header("content-type", "application/fhir+json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class World:
    """The running service. Use ``up`` before anything else, as a test may have ended the worker."""

    def __init__(self, service: Service, settings: Mapping[str, str]) -> None:
        self.service, self.settings = service, settings
        self.bootstrap = service.bootstrap
        self.clock = Clock(
            float(settings["RPM_TIME_SPEED"]), datetime.fromisoformat(settings["RPM_TIME_ANCHOR"])
        )
        self.log = service.folder / "worker.log"
        self.worker: subprocess.Popen[bytes] | None = None
        self._sent = 0

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RPM_")}
        return {**clean, **self.settings, "RPM_BOOTSTRAP": self.bootstrap}

    def up(self) -> None:
        """Start the worker if it does not run, and wait until its feed has read the alerts."""
        if self.worker is None or self.worker.poll() is not None:
            with self.log.open("ab") as log:
                self.worker = subprocess.Popen(
                    [sys.executable, "-m", "rpm_stream", "worker", "--stages", ",".join(STAGES)],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    cwd=self.service.folder,
                )
        self.wait("the feed is ready", lambda: self.http("GET", "/healthz").status_code == 200)

    def wait(self, what: str, condition: Callable[[], object], seconds: float = 60) -> None:
        """Wait until ``condition()`` is true. Ask a stage that does not listen yet again."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            assert time.monotonic() < end, (
                f"not within {seconds:.0f} s: {what}; said:\n{self.said()[-6_000:]}"
            )
            time.sleep(0.2)

    def said(self) -> str:
        """Return all that the worker and its stages wrote."""
        return self.log.read_text(errors="replace")

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the operator."""
        return subprocess.run(
            [sys.executable, "-m", "rpm_stream", *arguments],
            env=self.environment,
            cwd=self.service.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def http(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request to the feed with the token."""
        headers = more.pop("headers", {"authorization": f"Bearer {TOKEN}"})
        base = f"http://127.0.0.1:{self.settings['RPM_FEED_PORT']}"
        return httpx.request(method, base + path, headers=headers, timeout=20, **more)

    def scrape(self, stage: str) -> str:
        """Return what Prometheus gets from a stage."""
        port = int(self.settings["RPM_METRICS_PORT"]) + STAGES.index(stage)
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text

    def counted(self, stage: str, name: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a metric of a stage.

        The key holds the labels' values in the order of the labels' names.
        """
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.scrape(stage))
            for sample in family.samples
            if sample.name == name
        }

    def pid(self, stage: str) -> int:
        """Return the process id of a stage of the running worker."""
        assert self.worker is not None
        lines = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        found = [
            line.split(None, 2)
            for line in lines
            if line.rstrip().endswith(f"rpm_stream stage {stage}")
        ]
        return next(int(pid) for pid, parent, _ in found if int(parent) == self.worker.pid)

    def kill(self, stage: str) -> None:
        os.kill(self.pid(stage), signal.SIGKILL)

    # --- topics ---

    def put(self, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
        """Produce key and value unchanged."""

        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
            await producer.start()
            try:
                for key, value in records:
                    await producer.send_and_wait(topic, value, key=key)
            finally:
                await producer.stop()

        asyncio.run(send())

    def frame(
        self, device: str, *values: tuple[float, str, str], **fields: Any
    ) -> tuple[bytes, bytes]:
        """Return a frame of (minutes from now, vital, value).

        It is received when its last value was measured.
        """
        self._sent += 1
        now = self.clock.now().replace(microsecond=0)
        entries = [
            {
                "at": (now + timedelta(minutes=minutes)).isoformat(),
                "vital": vital,
                "value": value,
                "unit": UNITS[vital],
            }
            for minutes, vital, value in values
        ]
        made = {
            "v": 1,
            "frame": f"f{self._sent}",
            "gateway": "zaphod-gateway",
            "device": device,
            "seq": self._sent,
            "boot": "1",
            "sent_at": entries[-1]["at"],
            "measurements": entries,
            **fields,
        }
        return device.encode(), json.dumps(made).encode()

    def records(self, topic: str) -> list[dict[str, Any]]:
        """Return all records of a topic, decoded."""
        return [
            msgspec.json.decode(one.value)
            for one in asyncio.run(read(self.bootstrap, topic))
            if one.value
        ]

    def alerts(self, patient: str, group: str) -> list[dict[str, Any]]:
        """Return all records of the alerts of a patient's group, in their order."""
        found = self.records("rpm.alerts")
        return [one for one in found if one["patient"] == patient and one["group"] == group]


@contextmanager
def world(folder: Path, speed: float = SPEED, time: str = "recorded") -> Iterator[World]:
    """Run the broker and the FHIR server; ``up`` starts the worker.

    ``time`` is RPM_TIME: whose clock gives the receipt of a frame.
    """
    fhir = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=fhir.serve_forever, daemon=True).start()
    first = 21_000 + os.getpid() % 20_000
    settings = {
        "RPM_TIME": time,
        "RPM_TIME_SPEED": str(speed),
        "RPM_TIME_ANCHOR": Clock().anchor.isoformat(),
        "RPM_TOKEN": TOKEN,
        "RPM_FHIR_URL": f"http://127.0.0.1:{fhir.server_port}/fhir",
        "RPM_FHIR_TOKEN": "zaphod-fhir",
        "RPM_DATA_DIR": str(folder),
        "RPM_FEED_PORT": str(free_ports(first, 1)),
        "RPM_LOG_LEVEL": "INFO",
        "RPM_METRICS_PORT": str(free_ports(first + 100, len(STAGES))),
    }
    with running(folder) as service:
        found = World(service, settings)
        try:
            yield found
        finally:
            if found.worker is not None:
                found.worker.terminate()
                found.worker.wait(60)
            fhir.shutdown()

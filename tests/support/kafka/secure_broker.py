"""An embedded broker with TLS, passwords and rights, and the stages as its users."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
from support.command_line import ended
from support.fhir_server import FhirServer, fhir_server

from rpm_stream.app.broker import keys as broker_keys
from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.broker.keys import Folder
from rpm_stream.app.stages.demo import free_ports

COMMAND_SECONDS = 90
RPM_STREAM = ("-m", "rpm_stream")
PATIENCE_SECONDS = 90.0
STAGES = ("ingest", "judge", "sink", "feed")
TOKEN = "a-token-of-22-characters"
REGISTRY = (
    {"v": 1, "device": "dev-1", "assignments": [{"patient": "pat-1"}]},
    {"v": 1, "patient": "pat-1", "display": "Somebody"},
)


@dataclass(frozen=True)
class World:
    """A secure broker, and how to be one of its users."""

    broker: Broker
    folder: Path
    other: Mapping[str, str] = field(default_factory=dict)

    def settings(self, user: str) -> dict[str, str]:
        """What stands in the user's own file, and ``other``, which differs for every user."""
        assert self.broker.secure is not None
        text = (self.broker.secure.folder.user(user) / "kafka.env").read_text()
        return {**dict(line.split("=", 1) for line in text.splitlines()), **self.other}

    def command(
        self, user: str | None, *words: str, **other: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``rpm-stream`` as a user, or as nobody; ``other``: settings that differ."""
        own = {} if user is None else self.settings(user)
        environment = {**os.environ, "RPM_DATA_DIR": str(self.folder), **own, **other}
        command = [sys.executable, *RPM_STREAM, *words]
        return ended(command, environment, self.folder, COMMAND_SECONDS)

    def worked(self, user: str, *words: str) -> str:
        """Return what a command says on stdout. It must succeed."""
        ran = self.command(user, *words)
        assert ran.returncode == 0, f"{words}: {ran.stderr}"
        return ran.stdout

    def prepare(self) -> None:
        """Make the topics, and register a patient who wears a device."""
        self.worked("operator", "topics", "apply", "--partitions", "2")
        (self.folder / "registry.jsonl").write_text(
            "".join(json.dumps(each) + "\n" for each in REGISTRY)
        )
        self.worked("operator", "registry", "load", "registry.jsonl")

    def client(self, user: str, password: str | None = None) -> dict[str, Any]:
        """aiokafka's own arguments for a user, without any code of ours."""
        settings = self.settings(user)
        return {
            "bootstrap_servers": settings["RPM_BOOTSTRAP"],
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=settings["RPM_KAFKA_CA"]),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": (
                password or Path(settings["RPM_KAFKA_PASSWORD_FILE"]).read_text().strip()
            ),
        }

    def certified(self, user: str, folder: Folder) -> dict[str, Any]:
        """aiokafka's own arguments for a user with a certificate of ``folder``'s authority."""
        assert self.broker.secure is not None
        context = ssl.create_default_context(cafile=str(self.broker.secure.folder.authority))
        context.load_cert_chain(*broker_keys.client_certificate(folder, user))
        return {
            "bootstrap_servers": self.broker.certificates_bootstrap,
            "security_protocol": "SSL",
            "ssl_context": context,
        }

    def noted(self, answer: str) -> set[tuple[str, str, str]]:
        """Principal, operation and resource of all that the broker allowed, or denied."""
        return set(
            re.findall(
                rf"Principal = User:(\S+) is {answer} operation = (\S+) from host = \S+ on resource"
                r" = (\S+) ",
                self.broker.log.read_text(errors="replace"),
            )
        )


def started(folder: Path, other: Mapping[str, str] | None = None) -> Iterator[World]:
    """Run the broker, with a user for a gateway."""
    with Broker(folder, port=0, secure=True) as broker:
        made = World(broker, folder, other or {})
        subprocess.run(
            [sys.executable, "-m", "rpm_stream", "broker", "user", "add", "gw-17", "--certificate"],
            env={**os.environ, "RPM_DATA_DIR": str(folder)},
            check=True,
            capture_output=True,
        )
        yield made


class Stages:
    """Every stage as a process with its own user's settings."""

    def __init__(self, world: World, more: Mapping[str, str]) -> None:
        self._world, self._more = world, more
        self.log = world.folder / "stages.log"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for stage in STAGES:
            environment = {**os.environ, "RPM_DATA_DIR": str(self._world.folder), **self._more}
            environment |= {**self._world.settings(stage), "RPM_INSTANCE": "a"}
            with self.log.open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, *RPM_STREAM, "stage", stage],
                        env=environment,
                        stdout=log,
                        stderr=log,
                        cwd=self._world.folder,
                    )
                )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)

    async def until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for it; a stage that ends meanwhile fails the test with what it said."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not await condition():
            self.all_run(what)
            if time.monotonic() > end:
                raise AssertionError(f"{what}; {self._said()}")
            await asyncio.sleep(0.3)

    def all_run(self, what: str = "no stage has ended") -> None:
        """Fail the test when a stage has ended."""
        ended = [process.returncode for process in self._processes if process.poll() is not None]
        assert not ended, f"{what}; ended: {ended}; {self._said()}"

    def _said(self) -> str:
        return f"said:\n{self.log.read_text(errors='replace')[-6_000:]}"


class Working(NamedTuple):
    """Every stage at work, a client of its feed, and the FHIR server of its sink."""

    stages: Stages
    feed: httpx.AsyncClient
    fhir: FhirServer


@asynccontextmanager
async def working(world: World) -> AsyncIterator[Working]:
    """Run every stage, with a FHIR server beside them."""
    port = free_ports(22_000 + os.getpid() % 20_000, 1)
    async with (
        fhir_server() as fhir,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {TOKEN}"}
        ) as feed,
    ):
        more = {
            "RPM_TOKEN": TOKEN,
            "RPM_FEED_PORT": str(port),
            "RPM_METRICS_PORT": "0",
            "RPM_FHIR_URL": fhir.url,
        }
        with Stages(world, more) as stages:
            yield Working(stages, feed, fhir)

"""The embedded broker: one node of real Apache Kafka (KRaft) for demos, development and tests.

It listens on the loopback address only. It needs the extra ``rpm-stream[broker]`` and nothing else:
no Docker, no Maven and no Java on the machine. It runs on Linux and macOS. It is not for
production, with one node, one replica and 512 MiB of heap. Without ``secure`` every local process
may do everything.

All its files are in ``<data_dir>/kafka``. ``data`` holds the topics, ``broker.log`` is Kafka's log,
and the configuration is written at each start. ``secure`` holds certificates and passwords
(``secure.py``).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Self

from rpm_stream.app.broker import config as broker_config
from rpm_stream.app.broker import jars as broker_jars
from rpm_stream.app.broker.config import Ports
from rpm_stream.app.broker.files import NodeFiles
from rpm_stream.app.broker.java_process import STOP_SECONDS, GuardedJava
from rpm_stream.app.broker.secure import Secure
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import open_private, private_folder, tighten

HOST = "127.0.0.1"
START_SECONDS = 120.0  # 5 s on an idle machine, 15 s seen on one with four times its load
# how long a start waits for an earlier broker on the same folder to end
TAKEOVER_SECONDS = STOP_SECONDS
POLL_SECONDS = 0.1
# ApiVersions v0, correlation 1, no client id
API_VERSIONS_REQUEST = struct.pack(">hhih", 18, 0, 1, -1)


class Broker:
    """One Kafka node on ``127.0.0.1:port``, as a context manager.

    It never outlives the process that started it. ``port`` 0 takes a free port, which then stays.
    ``fresh`` drops the data of an earlier run, at the first start only. After ``kill`` or ``stop``,
    ``start`` continues with the same data. ``secure`` gives the broker TLS, users and rights, which
    ``fresh`` keeps. Not thread-safe.
    """

    def __init__(
        self, data_dir: Path, port: int = 9092, fresh: bool = False, secure: bool = False
    ) -> None:
        self.port = port or _free_port()
        self._files = NodeFiles(data_dir.expanduser().resolve() / "kafka")
        self._java = GuardedJava(self.log)
        self.secure = Secure(self._files.folder / "secure") if secure else None
        self._certificates_port = _free_port() if secure else None
        self._fresh = fresh

    @property
    def bootstrap(self) -> str:
        """The address that clients connect to, ``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def certificates_bootstrap(self) -> str | None:
        """The address where a secure broker accepts client certificates, ``host:port``."""
        return None if self._certificates_port is None else f"{HOST}:{self._certificates_port}"

    @property
    def log(self) -> Path:
        """The file of Kafka's own log, with warnings and errors only."""
        return self._files.log

    @property
    def running(self) -> bool:
        """Whether the process lives, also while it is paused."""
        return self._java.running

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker, and return when it answers, after about 5 s.

        The first start ever also fetches 44 MB. Raises UsageError when the port or the folder is in
        use, the extra is missing, or Kafka does not start.
        """
        if self.running:
            return
        java = broker_jars.java()
        classpath = broker_jars.classpath()
        folder = self._files.folder
        tighten(private_folder(folder))  # an older release left it open to others
        with os.fdopen(open_private(folder / "lock", os.O_RDWR), "r+") as lock:
            _take(lock, folder)
            _require_free(self.port)
            command = broker_config.java_command(java, classpath, folder)
            self._prepare(command)
            self._java.launch([*command, "kafka.Kafka", str(self._files.properties)], lock)
        try:
            self._await_answer()
            self._give_rights()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop cleanly, in 1 to 2 s. Does nothing when the broker is not running."""
        self._java.stop()

    def kill(self) -> None:
        """Send SIGKILL, as in a crash. Acknowledged messages are in the page cache and survive."""
        self._java.kill()

    def pause(self) -> None:
        """Send SIGSTOP. The port accepts connections and nothing answers, as on a stalled machine.

        Returns when all its threads are stopped.
        """
        self._java.pause()

    def resume(self) -> None:
        """Send SIGCONT after ``pause``."""
        self._java.resume()

    def _prepare(self, command: list[str]) -> None:
        """Prepare the files for the next start of Kafka."""
        if self._fresh:
            self._files.drop_topics()
        self._fresh = False
        ports = Ports(self.port, _free_port(), self._certificates_port)
        self._files.write_configuration(ports, self.secure)
        self._files.begin_log()
        self._files.format_storage(command)

    def _await_answer(self) -> None:
        end = time.monotonic() + START_SECONDS
        context = None if self.secure is None else self.secure.context()
        while not _answers(self.port, context):
            if not self.running:
                raise UsageError(
                    f"Kafka ended while starting: {self._files.why_ended()} (log: {self.log})"
                )
            if time.monotonic() > end:
                raise UsageError(
                    f"Kafka did not answer within {START_SECONDS:.0f} s (log: {self.log})"
                )
            time.sleep(POLL_SECONDS)

    def _give_rights(self) -> None:
        """Set the users and rights of a secure broker, and write the settings of each user."""
        if self.secure is None or self._certificates_port is None:
            return
        with ThreadPoolExecutor(1) as thread:  # the caller's thread may run an event loop
            thread.submit(
                asyncio.run, self.secure.apply(f"{HOST}:{self._certificates_port}")
            ).result()
        self.secure.write_settings(self.bootstrap)
        self.secure.note_port(self._certificates_port)


def _take(lock: IO[str], folder: Path) -> None:
    """Take the folder's lock.

    Waits a little, because a broker whose owner was killed still writes its last segment.
    """
    end = time.monotonic() + TAKEOVER_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise UsageError(
                    f"another broker is running on {folder}: stop it, or name another --data-dir"
                ) from error
            time.sleep(POLL_SECONDS)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # connections in TIME_WAIT do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UsageError(
                f"port {port} is in use: is a broker running already? Name another with --port"
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether a Kafka on ``port`` answers a request. It listens seconds before it does.

    With ``context`` the request goes over TLS.
    """
    try:
        with (
            socket.create_connection((HOST, port), timeout=2) as plain,
            (
                plain if context is None else context.wrap_socket(plain, server_hostname=HOST)
            ) as connection,
        ):
            connection.sendall(struct.pack(">i", len(API_VERSIONS_REQUEST)) + API_VERSIONS_REQUEST)
            return len(connection.recv(4)) > 0
    except OSError:
        return False  # not yet

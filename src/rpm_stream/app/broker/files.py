"""The files of the embedded broker: its topics, its log and its configuration."""

from __future__ import annotations

import base64
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rpm_stream.app.broker import config as broker_config
from rpm_stream.app.broker.config import Ports
from rpm_stream.app.broker.secure import Secure
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import UMASK, write_private


@dataclass(frozen=True)
class NodeFiles:
    """The files of one node, all in ``folder``."""

    folder: Path

    @property
    def data(self) -> Path:
        """The folder with the topics."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The file of Kafka's own log, with warnings and errors only."""
        return self.folder / "broker.log"

    @property
    def properties(self) -> Path:
        """The file with the configuration."""
        return self.folder / "server.properties"

    def drop_topics(self) -> None:
        """Delete the topics of an earlier run."""
        if self.data.exists():
            shutil.rmtree(self.data)

    def write_configuration(self, ports: Ports, secure: Secure | None) -> None:
        """Write the configuration of Kafka and of its log.

        For a secure broker this also makes missing certificates and passwords.
        """
        security = ""
        logging = broker_config.LOGGING
        if secure is not None:
            secure.prepare()
            security = secure.properties()
            logging = logging + broker_config.DENIALS
        properties = broker_config.server_properties(self.data, ports, security)
        write_private(self.properties, properties.encode())
        write_private(self.folder / "log4j2.properties", logging.encode())

    def begin_log(self) -> None:
        """Put the log of the run before aside."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))

    def format_storage(self, command: list[str]) -> None:
        """Format the storage once, with ``command``, the command line of Java.

        Raises UsageError if Kafka could not do it.
        """
        if (self.data / "meta.properties").exists():
            return
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={_cluster_id()}"]
        done = subprocess.run(
            [*command, *tool, "-c", str(self.properties)],
            umask=UMASK,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise UsageError(
                f"Kafka could not format {self.data}: {_last_line(done.stdout + done.stderr)}"
            )

    def why_ended(self) -> str:
        """Return the last message in Kafka's log."""
        return (
            _last_line(self.log.read_text(errors="replace"))
            if self.log.exists()
            else "it wrote no log"
        )


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")


def _last_line(text: str) -> str:
    """Return the last line that looks like a message and not like a stack frame."""
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and not line.startswith(("\t", " ", "Caused"))
    ]
    return lines[-1].strip() if lines else "no message"

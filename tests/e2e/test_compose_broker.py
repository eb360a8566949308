"""The Kafka of compose.yaml, without containers: its settings and its services' commands, on the
embedded jars.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from support.paths import repository

from rpm_stream.app.broker import config as broker_config
from rpm_stream.app.broker import jars as broker_jars
from rpm_stream.app.broker.broker import _free_port

SERVICES = yaml.safe_load(repository("deploy", "compose.yaml").read_text(encoding="utf-8"))[
    "services"
]
START_SECONDS = 90.0


def here(text: str, folder: Path, ports: dict[str, str]) -> str:
    """A text of compose, for this machine: other ports, one host, and the folders of the
    volumes.
    """
    for inside, outside in ports.items():
        text = re.sub(rf"\b{inside}\b", outside, text)
    text = re.sub(r"\bkafka:(?=\d)", "localhost:", text).replace("://:", "://localhost:")
    text = text.replace("/var/lib/rpm-stream/keys", str(folder / "keys")).replace(
        "/var/lib/kafka/data", str(folder / "d")
    )
    return text.replace("/mnt/shared/config", str(folder / "keys/broker"))


def command(
    service: str, folder: Path, ports: dict[str, str], **settings: str
) -> subprocess.CompletedProcess[str]:
    words = [here(word, folder, ports) for word in SERVICES[service]["command"]]
    environment = {**os.environ, "RPM_DATA_DIR": str(folder), **settings}
    return subprocess.run(
        [sys.executable, "-m", "rpm_stream", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def property_of(name: str) -> str:
    """A property of Kafka from a variable, as the image makes it."""
    return name.removeprefix("KAFKA_").lower().replace("_", ".")


def test_keys_kafka_access_and_topics_work_one_after_the_other(tmp_path: Path) -> None:
    ports = {port: str(_free_port()) for port in ("19092", "9092", "19093", "29093")}
    made = command("keys", tmp_path, ports)
    assert made.returncode == 0, made.stderr
    given: dict[str, Any] = SERVICES["kafka"]["environment"]
    lines = [
        f"{property_of(name)}={here(str(value), tmp_path, ports)}\n"
        for name, value in given.items()
        if name.startswith("KAFKA_")
    ]
    properties = tmp_path / "server.properties"
    properties.write_text((tmp_path / "keys/broker/server.properties").read_text() + "".join(lines))
    (tmp_path / "log4j2.properties").write_text(broker_config.LOGGING)
    java = broker_config.java_command(broker_jars.java(), broker_jars.classpath(), tmp_path)
    subprocess.run(
        [
            *java,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={given['CLUSTER_ID']}",
            "-c",
            str(properties),
        ],
        check=True,
        capture_output=True,
    )
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log) as kafka,
    ):
        try:
            brought_up(tmp_path, ports)
        finally:
            kafka.kill()


def brought_up(folder: Path, ports: dict[str, str]) -> None:
    """The services that run once, as compose starts them; the first waits as its health check
    does.
    """
    end = time.monotonic() + START_SECONDS
    while (brought := command("access", folder, ports)).returncode != 0:
        assert time.monotonic() < end, brought.stderr + (folder / "log").read_text()[-3_000:]
        time.sleep(1)
    environment = SERVICES["topics"]["environment"]
    settings = {
        name: str(environment[name]) for name in environment if name.startswith("RPM_KAFKA_")
    }
    settings |= {"RPM_BOOTSTRAP": f"localhost:{ports['19092']}", "RPM_PARTITIONS": "1"}
    user = folder / "keys/users" / settings["RPM_KAFKA_USER"]
    settings = {name: value.replace("/run/kafka", str(user)) for name, value in settings.items()}
    applied = command("topics", folder, ports, **settings)
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout.count("created with 1 partitions") == 9
    outside = command(
        "topics", folder, ports, **{**settings, "RPM_BOOTSTRAP": f"127.0.0.1:{ports['9092']}"}
    )
    assert (outside.returncode, outside.stdout) == (0, ""), outside.stderr

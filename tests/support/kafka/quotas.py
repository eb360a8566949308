"""Kafka's own tool for quotas, from the embedded broker's jars, as ``kafka-configs.sh`` runs it."""

from __future__ import annotations

import subprocess

from rpm_stream.app.broker import jars as broker_jars


def limit_client(bootstrap: str, client: str, octets_per_second: int) -> None:
    """Limit a client id to so many bytes a second from now on."""
    command = [
        str(broker_jars.java()),
        "-Xmx128m",
        "-cp",
        broker_jars.classpath(),
        "kafka.admin.ConfigCommand",
        "--bootstrap-server",
        bootstrap,
        "--alter",
        "--entity-type",
        "clients",
        "--entity-name",
        client,
        "--add-config",
        f"producer_byte_rate={octets_per_second}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr

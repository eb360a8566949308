"""Partitions added by hand or by ``rpm-stream topics grow``, and checks of a service that grew."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from support.kafka.service import Service, read

from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.operate.growth.keyed import KEYED, belongs

GROW = ("topics", "grow", "--partitions")


async def add_partitions(bootstrap: str, wanted: Mapping[str, int]) -> None:
    """Add partitions to a topic, as any client with the right can, and change nothing else."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_partitions(
            {topic: NewPartitions(count) for topic, count in wanted.items()}
        )
        for topic, count in wanted.items():
            while len(await partitions_of(admin, topic)) < count:
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


def cli(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the operator."""
    return subprocess.run(
        [sys.executable, "-m", "rpm_stream", *arguments],
        env={
            **os.environ,
            **service.settings,
            "RPM_BOOTSTRAP": service.bootstrap,
            "RPM_DATA_DIR": str(service.folder),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def killed(service: Service, partitions: int, seconds: float) -> bool:
    """Run ``topics grow`` and SIGKILL it after ``seconds``. Return whether it was still at work."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "rpm_stream",
            *GROW,
            str(partitions),
            "--bootstrap",
            service.bootstrap,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    process.communicate()
    assert process.returncode == 0
    return False


def grown(service: Service, partitions: int, kills: int, chance: random.Random) -> int:
    """Run ``topics grow`` to its end, killed at random before. Return the number of kills."""
    done = 0
    while done < kills and killed(service, partitions, chance.uniform(2.0, 6.0)):
        done += 1
    ran = cli(service, *GROW, str(partitions))
    assert ran.returncode == 0, ran.stderr
    return done


async def every_key_is_at_home(service: Service, partitions: int) -> None:
    """Check that each key of a compacted topic is in one partition.

    It is the partition in which clients look for it.
    """
    for topic in KEYED:
        found = await read(service.bootstrap, topic)
        wrong = {
            record.key for record in found if belongs(record, None, partitions) != record.partition
        }
        assert not wrong, f"{len(wrong)} keys of {topic} are not at home"
        assert found or topic == names.ALERTS

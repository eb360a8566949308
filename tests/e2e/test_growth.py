"""Partitions are added: every stage says so and ends, no stage starts, and ``topics grow`` takes
all that came.

The law: run, grow in the middle, run on; the topics hold what the replay of all the frames says.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from support.faults.load import real_load
from support.frames import frame, measurement
from support.kafka.against_replay import Wanted, check_against_replay, replayed, without_time_driven
from support.kafka.growth import add_partitions, cli, every_key_is_at_home, grown
from support.kafka.service import Service, drained, lag, read, running, send, until

from rpm_stream.app.kafka import growth_journal as journal
from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.app.operate.growth import groups_and_copies as kafka
from rpm_stream.app.operate.growth import grow, queues
from rpm_stream.app.operate.growth.keyed import KEYED
from rpm_stream.app.registry.file import read_registry
from rpm_stream.app.registry.topic import write
from rpm_stream.app.runtime.end import EXIT_CRASHED
from rpm_stream.app.runtime.errors import MustNotGoOn
from rpm_stream.pipeline.held import read_held
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.pipeline.state_envelope import unpack_device
from rpm_stream.records import Assignment, DeviceEntry

PEOPLE = tuple(f"zaphod{number}" for number in range(12))  # half of them move
FIRST, BY_HAND, THEN = 4, 6, 8
SEED = 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("growth"), {"RPM_TIME": "recorded"}) as service:
        yield service


def frames(turns: range) -> list[bytes]:
    """A frame of each person a turn.

    Oxygen is low, from turn 8 on normal for every second of them.
    """
    return [
        msgspec.json.encode(
            frame(
                [
                    measurement(
                        5 * turn, "oxygen_saturation", "97" if turn >= 8 and number % 2 else "84"
                    ),
                    measurement(5 * turn, "heart_rate", str(70 + turn % 5)),
                ],
                5 * turn,
                seq=turn,
                device=f"{name}-ring",
                frame=f"{name}{turn}",
            )
        )
        for turn in turns
        for number, name in enumerate(PEOPLE)
    ]


async def send_as_before(service: Service, sent: list[bytes], partitions: int) -> None:
    """By a producer that knows of no more than so many partitions."""
    for each in sent:
        device = msgspec.json.decode(each)["device"].encode()
        await send(service.bootstrap, [each], partition=home_of(device, partitions))


def decoded(service: Service, topic: str) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(record.value) for record in asyncio.run(read(service.bootstrap, topic))
    ]


def last_alert(service: Service, patient: str) -> dict[str, Any]:
    found = [alert for alert in decoded(service, names.ALERTS) if alert["patient"] == patient]
    return max(found, key=lambda alert: (alert["updated_at"], len(alert["history"])))


async def act(service: Service, alert: dict[str, Any], action: str) -> None:
    body = {
        "v": 1,
        "patient": alert["patient"],
        "alert": alert["id"],
        "action": action,
        "who": "nurse",
    }
    body["at"] = alert["updated_at"]
    async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
        await producer.send_and_wait(
            names.ACTIONS, msgspec.json.encode(body), key=alert["patient"].encode()
        )


async def put(service: Service, record: ConsumerRecord, value: bytes) -> None:
    """Another value for the key of a record, in its partition."""
    async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
        await producer.send_and_wait(
            record.topic, value, key=record.key, partition=record.partition
        )


async def noted(service: Service, group: str, topic: str, note: str | None = None) -> set[str]:
    """What stands beside the commits of a group; ``note`` is put there before."""
    async with AIOKafkaConsumer(
        bootstrap_servers=service.bootstrap, group_id=group, enable_auto_commit=False
    ) as consumer:
        admin = AIOKafkaAdminClient(bootstrap_servers=service.bootstrap)
        await admin.start()
        found = {
            tp: each
            for tp, each in (await admin.list_consumer_group_offsets(group)).items()
            if tp.topic == topic
        }
        await admin.close()
        if note is not None:
            consumer.assign(list(found))
            await consumer.commit(
                {tp: OffsetAndMetadata(each.offset, note) for tp, each in found.items()}
            )
        return {each.metadata for each in found.values()}


def ended(service: Service, stage: str) -> int:
    return service.processes.pop(f"{stage}-a").wait(60)


def but_for_decisions(alert: dict[str, Any]) -> dict[str, Any]:
    """The file that is replayed holds no decisions; the replay of the topics, which is asked
    too, has them.
    """
    if alert["patient"] == PEOPLE[0]:
        return {
            name: alert[name]
            for name in ("id", "patient", "group", "priority", "opened_at", "rule")
        }
    return without_time_driven(alert)


class Interrupted(Exception):
    """As good as a kill: nothing of the run goes on."""


class Interruptions:
    """Lets a growth come so many events far.

    An event is whatever changes something on the broker.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        for module, name in (
            (journal, "write"),
            (grow, "cut_off"),
            (grow, "configure"),
            (grow, "add_partitions"),
            (grow, "commit"),
            (queues, "commit"),
        ):
            monkeypatch.setattr(module, name, self._around(getattr(module, name)))
        monkeypatch.setattr(kafka.Copier, "copy", self._copying(kafka.Copier.copy))

    def _around(self, real: Any) -> Any:
        async def before_and_after(*given: Any) -> Any:
            self.happened()
            done = await real(*given)
            self.happened()
            return done

        return before_and_after

    def _copying(self, real: Any) -> Any:
        async def counted(copier: kafka.Copier, record: Any, partition: int) -> None:
            before = copier.count
            await real(copier, record, partition)
            if copier.count > before:
                self.happened()

        return counted

    def happened(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def growing_while_a_record_is_lost(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """One copy never reaches the broker: that is found, and nothing is deleted."""
    monkeypatch.setattr(grow, "JOIN_SECONDS", 0.0)
    real, lost = kafka.Copier.copy, []

    async def losing(copier: kafka.Copier, record: Any, partition: int) -> None:
        if record.topic == names.STATE_JUDGE and not lost:
            lost.append(record)
        else:
            await real(copier, record, partition)

    with monkeypatch.context() as patch:
        patch.setattr(kafka.Copier, "copy", losing)
        with pytest.raises(
            MustNotGoOn, match=r"of 12 keys .* 1 are not there or not equal; nothing was deleted"
        ):
            asyncio.run(
                grow.grow(
                    grow.GrowthRequest(service.bootstrap, THEN, 1), lambda _: None, lambda *_: None
                )
            )
    for topic in KEYED:
        assert min(record.offset for record in asyncio.run(read(service.bootstrap, topic))) == 0


def growing_with_interruptions(service: Service, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run it again and again, each time a random number of events far, until it is done; how
    often it was not.
    """
    monkeypatch.setattr(grow, "JOIN_SECONDS", 0.0)
    chance, interruptions = random.Random(SEED), Interruptions(monkeypatch)
    asked = grow.GrowthRequest(service.bootstrap, THEN, 1)
    for count in range(200):
        # further each time: a step must come to its end
        interruptions.left = chance.randint(1, 5 + 2 * count)
        try:
            asyncio.run(grow.grow(asked, lambda _: None, lambda *_: None))
        except Interrupted:
            if count == 2:
                while_it_grows(service)
        else:
            return count
    raise AssertionError("it does not come to an end")


def while_it_grows(service: Service) -> None:
    """Nobody may start, and nobody writes an entry that an older one could overtake."""
    for arguments in (
        ("stage", "judge"),
        ("worker",),
        ("registry", "assign", "zaphod0-ring", "zaphod0"),
    ):
        ran = cli(service, *arguments)
        assert (ran.returncode, ran.stdout) == (EXIT_CRASHED, ""), ran.stderr
        assert f"topics grow --partitions {THEN}" in ran.stderr.splitlines()[-1]
    wrong = cli(service, "topics", "grow", "--partitions", "16")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


@pytest.mark.heavy
def test_partitions_added_by_hand_and_what_grow_makes_of_it(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worn = [
        DeviceEntry(device=f"{name}-ring", assignments=(Assignment(patient=name),))
        for name in PEOPLE
    ]
    asyncio.run(write(service.bootstrap, worn))
    registry = tmp_path / "registry.jsonl"
    registry.write_bytes(b"\n".join(map(msgspec.json.encode, worn)))
    wanted: Wanted = replayed(tmp_path, registry, frames(range(14)))
    asyncio.run(send(service.bootstrap, frames(range(4))))
    for stage in ("ingest", "judge"):
        service.start(stage)
    asyncio.run(drained(service))

    # Somebody adds partitions: the stages say so and end, and do not start.
    asyncio.run(add_partitions(service.bootstrap, {names.FRAMES: BY_HAND, names.READINGS: BY_HAND}))
    assert [ended(service, stage) for stage in ("ingest", "judge")] == [EXIT_CRASHED, EXIT_CRASHED]
    said = service.log.read_text(errors="replace")
    assert said.count("rpm.frames has 6 partitions, had 4") == 2
    assert "AssertionError" not in said
    for arguments in (("stage", "ingest"), ("worker",)):
        ran = cli(service, *arguments)
        assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (EXIT_CRASHED, "", 1), (
            ran.stderr
        )
        assert "rpm-ingest-state-changelog 4" in ran.stderr
        assert "rpm-stream topics grow --partitions 6" in ran.stderr
    checked = cli(service, "topics", "check")
    assert checked.returncode == 1
    assert "rpm-judge-state-changelog 4" in checked.stdout

    # Meanwhile frames come: from who knows of the new partitions, and from who does not; and a
    # decision.
    asyncio.run(act(service, last_alert(service, PEOPLE[0]), "acknowledge"))
    asyncio.run(send(service.bootstrap, frames(range(4, 6))))
    asyncio.run(send_as_before(service, frames(range(6, 7)), FIRST))

    # Grow: refused, planned, interrupted at every point, done.
    assert cli(service, "topics", "grow", "--partitions", "5").returncode == 2
    planned = cli(service, "topics", "grow", "--partitions", str(THEN), "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert f'"rpm.frames: {BY_HAND} partitions become {THEN}"' in planned.stdout
    assert asyncio.run(journal.last_growth(service.bootstrap)) is None
    state = asyncio.run(read(service.bootstrap, names.STATE_JUDGE))[-1]
    asyncio.run(put(service, state, state.value[:-3]))
    refused = cli(service, "topics", "grow", "--partitions", str(THEN))
    assert (
        refused.returncode,
        "1 states cannot be restored: first run rpm-stream state rebuild" in refused.stderr,
    ) == (2, True)
    asyncio.run(put(service, state, state.value))
    for group, topic in ((names.GROUP_INGEST, names.FRAMES), (names.GROUP_JUDGE, names.READINGS)):
        asyncio.run(noted(service, group, topic, '{"end": 1000, "states": 100}'))
    growing_while_a_record_is_lost(service, monkeypatch)
    assert growing_with_interruptions(service, monkeypatch) > 5
    monkeypatch.undo()
    asyncio.run(every_key_is_at_home(service, THEN))
    for group, topic in ((names.GROUP_INGEST, names.FRAMES), (names.GROUP_JUDGE, names.READINGS)):
        assert asyncio.run(noted(service, group, topic)) == {""}, "of states that are elsewhere now"
    assert cli(service, "topics", "check", "--partitions", str(THEN)).stdout == ""
    assert "nothing to do" in cli(service, "topics", "grow", "--partitions", str(THEN)).stdout

    # Run on. A gateway sends again what it has sent before, and one still knows the partitions of
    # before.
    for stage in ("ingest", "judge"):
        service.start(stage)
    asyncio.run(send(service.bootstrap, frames(range(7, 10))))
    asyncio.run(drained(service))
    asyncio.run(send(service.bootstrap, frames(range(2, 3))))
    asyncio.run(send_as_before(service, frames(range(10, 11)), FIRST))
    asyncio.run(drained(service))
    asyncio.run(send(service.bootstrap, frames(range(11, 14))))
    asyncio.run(drained(service))
    refused = cli(service, "topics", "grow", "--partitions", "16")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "stop the stages first" in refused.stderr

    # Equal to the replay of all frames; the books balance; the replay of the topics gives what they
    # hold.
    asyncio.run(
        check_against_replay(service, wanted, 14 * len(PEOPLE), len(PEOPLE), but_for_decisions)
    )
    asyncio.run(every_key_is_at_home(service, THEN))
    books = cli(service, "reconcile")
    assert books.returncode == 0, books.stdout[-3000:]
    compared = cli(service, "replay", "--from-kafka", "--compare", "--emit", "all")
    assert compared.returncode == 0, compared.stdout[-3000:] + compared.stderr[-2000:]

    # The alerts of before are the alerts of now: decided about, and ended by readings.
    alert = last_alert(service, PEOPLE[0])
    assert (alert["state"], len({each["id"] for each in decoded(service, names.ALERTS)})) == (
        "acknowledged",
        len(wanted["alert"]),
    )
    assert all(last_alert(service, name)["over"] for name in PEOPLE[1::2]), "all values are back"
    asyncio.run(act(service, last_alert(service, PEOPLE[1]), "resolve"))
    asyncio.run(act(service, last_alert(service, PEOPLE[2]), "acknowledge"))
    asyncio.run(drained(service))
    assert [last_alert(service, name)["state"] for name in PEOPLE[1:3]] == [
        "resolved",
        "acknowledged",
    ]
    assert [process.poll() for process in service.processes.values()] == [None, None]
    service.stop()
    rebuilt_from_both_partitions(service)


def rebuilt_from_both_partitions(service: Service) -> None:
    """A state that is damaged after a growth is made anew of what lies before it too."""
    name = next(one for one in PEOPLE if moves(one) and moves(f"{one}-ring"))
    for topic, key, unpack in (
        (names.STATE_INGEST, f"{name}-ring".encode(), unpack_device),
        (names.STATE_JUDGE, name.encode(), lambda blob: unpack_patient(blob, name).state),
    ):
        found = [
            record for record in asyncio.run(read(service.bootstrap, topic)) if record.key == key
        ]
        asyncio.run(put(service, found[-1], found[-1].value[:-3]))
        made = cli(service, "state", "rebuild")
        assert made.returncode == 0, made.stderr
        again = [
            record for record in asyncio.run(read(service.bootstrap, topic)) if record.key == key
        ][-1]
        assert again.partition == found[-1].partition
        held = read_held(again.value)
        assert held is not None, "no stage has caught up with it"
        known, anew = unpack(found[-1].value), unpack(held.blob)
        assert len(known.applied) > 1, "its frames lay in more than one partition"
        assert (anew.applied, getattr(anew, "seen", None)) == (
            known.applied,
            getattr(known, "seen", None),
        )
        for group, episode in getattr(known, "episodes", {}).items():
            assert anew.episodes[group].alert.id == episode.alert.id


def moves(key: str) -> bool:
    return home_of(key.encode(), FIRST) != home_of(key.encode(), THEN)


@pytest.mark.heavy
def test_a_ward_that_grows_under_kills_says_what_the_replay_says(tmp_path: Path) -> None:
    """56 people of real recordings: what detectors have learned, open alerts, and all that
    waits, are moved.
    """
    load = real_load(tmp_path, 55, 1)
    chance = random.Random(SEED)
    with running(tmp_path, {"RPM_TIME": "recorded"}) as service:
        asyncio.run(write(service.bootstrap, list(read_registry(load.registry))))
        for stage in ("ingest", "judge"):
            service.start(stage)
        parts = [load.frames[int(begin * len(load.frames)) :] for begin in (0, 0.5, 0.55, 0.6)]
        sizes = [len(part) - len(after) for part, after in pairwise([*parts, []])]
        asyncio.run(send(service.bootstrap, parts[0][: sizes[0]]))
        asyncio.run(drained(service))
        service.kill("judge-a", 15)
        # becomes readings that no judge has read
        asyncio.run(send(service.bootstrap, parts[1][: sizes[1]]))
        asyncio.run(until("ingest is level", partial(level, service)))
        service.kill("ingest-a")
        # stay frames that nobody has read
        asyncio.run(send(service.bootstrap, parts[2][: sizes[2]]))
        assert asyncio.run(lag(service.bootstrap, names.GROUP_JUDGE, names.READINGS)) > 0
        last = {alert["id"]: alert["state"] for alert in decoded(service, names.ALERTS)}
        assert sum(state == "open" for state in last.values()) > 10
        kills = grown(service, THEN, 5, chance)
        asyncio.run(every_key_is_at_home(service, THEN))
        for stage in ("ingest", "judge"):
            service.start(stage)
        asyncio.run(send(service.bootstrap, parts[3]))
        asyncio.run(drained(service))
        asyncio.run(check_against_replay(service, load.wanted, len(load.frames)))
        assert cli(service, "reconcile").returncode == 0
        assert kills > 0
    print(f"RPM_SEED={SEED}: {len(load.frames)} frames, {kills} kills of the growth")


async def level(service: Service) -> bool:
    return not await lag(service.bootstrap, names.GROUP_INGEST, names.FRAMES)

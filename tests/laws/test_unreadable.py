"""Law 7 behind the frames too: a message in any topic that cannot be read stops no stage.

It is skipped and reported.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord
from structlog.testing import capture_logs

from rpm_stream.app.agents.forwarding import Forwarding
from rpm_stream.app.agents.judge import JudgeStep
from rpm_stream.app.ehr import sink
from rpm_stream.app.feed import consumer as consume
from rpm_stream.app.feed.read_model import FeedState
from rpm_stream.app.kafka.names import ACCOUNTS, ACTIONS, OBSERVATIONS, READINGS, REGISTRY, REJECTS
from rpm_stream.app.operate import compare_replay as replay_compare
from rpm_stream.app.operate import correct_wearer as correcting
from rpm_stream.app.operate import redrive
from rpm_stream.app.operate.reconcile.collect import Collector
from rpm_stream.app.operate.reconcile.store import Store
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.runtime import metrics
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry, has_unreadable_birth
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.pipeline.replay import Replay
from rpm_stream.records import Action, PatientEntry

DEEP = b'{"value":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
STRANGE = {
    "no JSON": b"\xff",
    "no text in a name": b'{"patient":"\xff"}',
    "no text in a key": b'{"\xff":1}',
    "no text in what is looked at": (
        b'{"id":"\xff","resourceType":"\xff","action":"\xff","readings":[{"id":"\xff"}]}'
    ),
    "too deep": DEEP,
    "too deep for a reading": b'{"readings":[{"attributes":' + DEEP + b"}]}",
    "another kind": b"[]",
}


@pytest.fixture(params=STRANGE.values(), ids=STRANGE.keys())
def value(request: pytest.FixtureRequest) -> bytes:
    return bytes(request.param)


def record(topic: str, value: bytes) -> ConsumerRecord:
    return ConsumerRecord(topic, 0, 7, 0, 0, b"ada", value, 0, 0, 0, ())


def judge_step() -> JudgeStep:
    return JudgeStep(Judge(shipped(), Registry()), Clock.of(Settings()), 4)


def test_the_judge_passes_over_it_and_goes_on(value: bytes) -> None:
    with capture_logs() as logs:
        assert judge_step().apply(unpack_patient(None, "ada"), record(READINGS, value)) is None
    assert [each["log_level"] for each in logs] == ["error"]


def test_ingest_passes_over_it_among_the_actions(value: bytes) -> None:
    """It is logged and acked: it could not be carried out, and the messages after it go on."""
    with capture_logs() as logs:
        assert Forwarding(recorded_time=False).apply(record(ACTIONS, value)) == []
    assert [(each["event"], each["log_level"]) for each in logs] == [
        ("ingest.not_an_action", "error")
    ]


def test_every_worker_passes_over_it_in_the_registry(value: bytes) -> None:
    reader = RegistryReader("nowhere")
    with capture_logs() as logs:
        reader.apply(b"patient/ada", value)
    assert [each["event"] for each in logs] == ["registry.entry_ignored"]
    (entry,) = reader.registry.entries()
    assert isinstance(entry, PatientEntry)
    assert (entry.patient, has_unreadable_birth(entry)) == (
        "ada",
        True,
    ), "nobody knows whether it is a child"
    assert metrics.REGISTRY_FAULTS._value.get() == 1
    reader.apply(b"patient/ada", b'{"v":1,"patient":"ada"}')
    assert metrics.REGISTRY_FAULTS._value.get() == 0


def test_what_a_later_release_puts_there_is_no_fault(value: bytes) -> None:
    reader = RegistryReader("nowhere")
    reader.apply(b"model/x/copd", value)
    assert (list(reader.registry.entries()), reader._faulty) == ([], {})


def test_the_feed_passes_over_it_and_shows_that_there_was_one(value: bytes) -> None:
    state = FeedState()
    with capture_logs() as logs:
        consume.apply_alert(state, record("a", value), datetime.now(UTC))
        consume.apply_readings(state, record(READINGS, value))
        consume.apply_entry(state, record(REGISTRY, value))
    assert (len(logs), state.unreadable) == (3, 1)


def test_the_books_note_it(value: bytes, tmp_path: Path) -> None:
    notes = Collector(Store(tmp_path / "books"), shipped(), b"k")
    for topic in (ACCOUNTS, READINGS, REJECTS, OBSERVATIONS):
        faults = notes.rows(topic, [record(topic, value)])[-1][1]
        assert [(fault[0], fault[1]) for fault in faults] == [("unreadable", topic)]


def test_an_action_with_a_time_utc_does_not_have_or_with_strange_words_is_refused_once() -> None:
    given = {
        "v": 1,
        "patient": "ada",
        "action": "comment",
        "who": "n",
        "reason": "r",
        "at": "2026-03-01T09:00:00Z",
    }
    for change in ({"at": "9999-12-31T23:59:59-14:00"}, {"direction": "Ada Lovelace"}):
        value = msgspec.json.encode({**given, **change})
        with capture_logs() as logs:
            assert Forwarding(recorded_time=False).apply(record(ACTIONS, value)) == []
        assert "Ada" not in str(logs)
        (line,) = Replay(shipped(), Registry()).jsonl(value, 1)
        reject = msgspec.json.decode(line.encode())["record"]
        assert (line.type, reject["reason"]) == ("reject", "bad_schema")
        assert "Ada" not in reject["detail"]


@pytest.mark.parametrize(
    "read",
    [
        lambda value: correcting._decoded(msgspec.json.Decoder(Action), value),
        lambda value: redrive._decoded(record(REJECTS, value)),
        lambda value: replay_compare._bodies("reject", value) or None,
        sink._read,
    ],
)
def test_the_tools_and_the_sink_pass_over_it(read: Callable[[bytes], Any], value: bytes) -> None:
    assert read(value) is None

"""Who is expected to be heard ticks before anything was heard, in the partition where the
records would be.
"""

from __future__ import annotations

from support.frames import registry_of, stamp
from support.ward import after

from rpm_stream.app.agents.judge import JudgeStep
from rpm_stream.app.kafka.names import ALERTS
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.patient_codec import unpack_patient

NAMES = [f"p{number}" for number in range(40)]
REGISTRY = registry_of(
    [
        *({"v": 1, "patient": name, "expected_every": {"heart_rate": 60}} for name in NAMES),
        {"v": 1, "patient": "nothing-expected"},
        {"v": 1, "device": "a", "assignments": [{"patient": "p7", "from": stamp(0)}]},
    ]
)


def step() -> JudgeStep:
    return JudgeStep(Judge(shipped(), REGISTRY), Clock(), 8)


def test_each_of_whom_something_is_expected_ticks_in_one_partition() -> None:
    found = [
        name.decode() for partition in range(8) for name in step().expecting(REGISTRY, partition)
    ]
    assert sorted(found) == sorted(NAMES)


def test_a_tick_of_somebody_who_was_never_heard_puts_out_a_silence_or_nothing() -> None:
    judge = step()
    assert judge.tick(unpack_patient(None, "p7"), after(59)) == []
    ((topic, _, _, partition),) = judge.tick(unpack_patient(None, "p7"), after(61))
    assert topic == ALERTS
    assert partition is not None
    assert b"p7" in judge.expecting(REGISTRY, partition)
    assert judge.tick(unpack_patient(None, "p8"), after(61)) == []


def test_nobody_is_expected_after_the_entry_is_gone_or_expects_nothing() -> None:
    registry = registry_of([{"v": 1, "patient": "p", "expected_every": {"weight": 60}}])
    assert list(registry.expecting) == ["p"]
    registry.put(registry_of([{"v": 1, "patient": "p"}]).patient("p"))
    assert list(registry.expecting) == []
    registry.put(
        registry_of([{"v": 1, "patient": "p", "expected_every": {"weight": 60}}]).patient("p")
    )
    registry.remove("patient/p")
    assert list(registry.expecting) == []


def test_a_device_is_found_by_whoever_has_it_and_by_nobody_else() -> None:
    registry = registry_of(
        [{"v": 1, "device": "a", "assignments": [{"patient": "p"}, {"patient": "q"}]}]
    )
    assert [device.device for name in ("p", "q") for device in registry.worn_by(name)] == ["a", "a"]
    registry.put(
        registry_of([{"v": 1, "device": "a", "assignments": [{"patient": "q"}]}]).devices["a"]
    )
    assert [list(registry.worn_by("p")), len(list(registry.worn_by("q")))] == [[], 1]
    registry.remove("device/a")
    assert list(registry.worn_by("q")) == []

"""A device that needs a hand: its own group, told once, over when a reading of the device says
so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from support.frames import frame, measurement, notified, registry_of, stamp, worn
from support.replaying import alerts, of_type, replay_frames
from support.ward import Ward

from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient

STRAP_OFF, STRAP_ON = "0400", "0648"  # 2A37: no contact and no rate; contact and 72 a minute
OFF_WITH_RATE = "0448"
# 2A5F: no values, sensor unconnected; 97 %, 72
SENSOR_OFF, SENSOR_ON = "08FF07FF07000800", "0861004800000000"
DEVICE = (
    "device:battery",
    "device:contact",
    "device:clock",
    "device:stuck",
    "device:fault",
    "device:measurement",
)


def told(
    frames: list[dict[str, Any]], until: float | None = None
) -> list[tuple[str, str, str, str]]:
    return [each for each in alerts(replay_frames(frames, [worn()], until)) if each[0] in DEVICE]


def levels(*percents: int) -> list[dict[str, Any]]:
    return notified(
        "2A19", [(hour * 60, f"{percent:02X}") for hour, percent in enumerate(percents)]
    )


def test_a_low_battery_is_told_once_and_is_over_when_it_is_charged() -> None:
    low = ("device:battery", "low", "open", "Battery low")
    assert told(levels(50, 20)) == []
    assert told(levels(50, 19, 18, 12)) == [low]
    assert told(levels(19, 20, 39)) == [low]
    assert told(levels(19, 40, 19)) == [
        low,
        ("device:battery", "low", "resolved", "Battery low"),
        low,
    ]


def test_a_battery_that_a_person_knows_of_is_not_told_again_before_it_was_charged() -> None:
    """Also over a restart: what was told is state."""
    ward = Ward()
    (alert,) = ward.send(0, (0, "battery", "15"))
    ward.act("resolve", alert.id, 1)
    assert ward.send(10, (10, "battery", "14")) == ()
    ward.patient = unpack_patient(pack_patient(ward.patient), "p")
    assert ward.send(20, (20, "battery", "13")) == ()
    assert ward.send(30, (30, "battery", "90")) == ()
    assert [each.state for each in ward.send(40, (40, "battery", "13"))] == ["open"]


def test_two_devices_are_one_alert_until_both_are_well() -> None:
    frames = [
        frame(
            [measurement(minute, "battery", value)],
            minute,
            seq=minute,
            device=device,
            frame=f"f{minute}",
        )
        for minute, device, value in [
            (0, "d", "10"),
            (1, "e", "11"),
            (2, "d", "90"),
            (3, "e", "90"),
        ]
    ]
    found = of_type(replay_frames(frames, [worn(), worn(device="e")]), "alert")
    assert [alert["state"] for alert in found] == ["open", "open", "open", "resolved"]
    assert [len(alert["why"]) for alert in found] == [1, 2, 1, 1]
    assert len({alert["id"] for alert in found}) == 1


def test_handing_a_device_in_ends_its_alert() -> None:
    ward = Ward()
    (alert,) = ward.send(0, (0, "battery", "15"))
    assert ward.tick(10) == ()
    ward.registry.put(
        registry_of([worn(assignments=[{"patient": "p", "until": stamp(20)}])]).devices["d"]
    )
    assert [(each.id, each.state) for each in ward.tick(30)] == [(alert.id, "resolved")]


@pytest.mark.parametrize("vital", ["battery", "perfusion_index"])
def test_a_clinics_own_limit_on_what_a_device_says_ends_with_the_device_too(vital: str) -> None:
    """Such a limit joins the device's alert and names no device: a tick once failed on it, and
    the worker ended.
    """
    ward = Ward(
        {
            "v": 1,
            "patient": "p",
            "limits": [{"vital": vital, "low": "30", "unit": "%", "owner": "dr-7"}],
        }
    )
    (alert,) = ward.send(0, (0, vital, "25"))
    assert ward.tick(10) == ()
    ward.registry.put(
        registry_of([worn(assignments=[{"patient": "p", "until": stamp(20)}])]).devices["d"]
    )
    assert [(each.id, each.state) for each in ward.tick(30)] == [(alert.id, "resolved")]


@pytest.mark.parametrize(
    ("characteristic", "off", "on"),
    [("2A37", STRAP_OFF, STRAP_ON), ("2A5F", SENSOR_OFF, SENSOR_ON)],
)
def test_lost_contact_is_told_after_a_while_and_ends_with_the_next_value(
    characteristic: str, off: str, on: str
) -> None:
    lost = ("device:contact", "low", "open", "Sensor not in contact")
    over = ("device:contact", "low", "resolved", "Sensor not in contact")
    assert (
        told(notified(characteristic, [(0, off), (9, off), (10, on), (11, off), (20, off)])) == []
    )
    assert told(notified(characteristic, [(0, off), (5, off), (10, off), (15, off), (16, on)])) == [
        lost,
        over,
    ]


def test_a_strap_that_measures_is_worn_whatever_its_contact_bit_says() -> None:
    assert told(notified("2A37", [(minute, OFF_WITH_RATE) for minute in range(0, 30, 5)])) == []


def test_a_gateway_whose_clock_runs_ahead_is_told_and_over_when_it_is_set() -> None:
    def sent(ahead: Sequence[float]) -> list[dict[str, Any]]:
        return [
            frame([measurement(minute + offset, "weight", "80")], minute, seq=minute)
            for minute, offset in enumerate(ahead)
        ]

    wrong = ("device:clock", "low", "open", "Device clock wrong")
    assert told(sent([60, 60, 0, 60, 60])) == []
    assert told(sent([60, 60, 60, 60])) == [wrong]
    assert told(sent([60, 60, 60, 0])) == [
        wrong,
        ("device:clock", "low", "resolved", "Device clock wrong"),
    ]


def test_many_values_of_one_frame_are_one_look_at_its_clock() -> None:
    assert told([frame([measurement(60 + each, "weight", "80") for each in range(10)], 0)]) == []


def rates(values: Sequence[str]) -> list[dict[str, Any]]:
    return [
        frame([measurement(minute, "heart_rate", value)], minute, seq=minute)
        for minute, value in enumerate(values)
    ]


def test_a_value_that_does_not_move_is_told_and_over_with_the_first_that_does() -> None:
    stuck = ("device:stuck", "low", "open", "Value does not move")
    assert told(rates(["72"] * 60)) == []
    assert told(rates(["72"] * 40 + ["73"] + ["72"] * 40)) == []
    assert told(rates(["72"] * 100)) == [stuck]
    assert told(rates(["72"] * 100 + ["73", "73"])) == [
        stuck,
        ("device:stuck", "low", "resolved", stuck[3]),
    ]


def test_a_second_of_calm_at_one_a_second_is_not_stuck() -> None:
    values = [measurement(second / 60, "heart_rate", "72") for second in range(600)]
    assert told([frame(values, 10)]) == []


def test_a_red_value_that_does_not_move_is_still_red() -> None:
    """Law 3: what a device rule says takes nothing from a limit."""
    found = alerts(replay_frames(rates(["225"] * 70), [worn()]))
    assert ("vital_signs", "high", "open", "Heart rate very high") in found
    assert ("device:stuck", "low", "open", "Value does not move") in found


def test_texts_name_no_device_and_the_evidence_does() -> None:
    (alert,) = of_type(replay_frames(levels(19), [worn()]), "alert")
    readings = of_type(replay_frames(levels(19), [worn()]), "reading")
    assert alert["evidence"] == [readings[0]["id"]]
    assert alert["why"] == ["battery 19 %: below 20 %, charge or renew it (shipped)"]
    assert alert["rule"] == "device.battery@1"
    assert alert["historical"] is False


def test_state_stays_small_with_many_devices() -> None:
    ward = Ward()
    small = 0
    for number in range(200):
        message = ward.message(number, (number, "heart_rate", str(60 + number % 7)))
        (reading,) = message.readings
        one = msgspec.structs.replace(
            message, readings=(msgspec.structs.replace(reading, device=f"d{number}"),)
        )
        ward.judge.step(ward.patient, one)
        if number == 60:
            small = len(ward.patient.state.score.repeats)
    assert len(ward.patient.state.score.repeats) == small


# --- what a device says of its own failing --------------------------------------------------------


def glucose(status: int, minute: int, kilograms: int = 110) -> str:
    """2A18 with a status: ``kilograms`` mg/dL as kg/L, the minute as its sequence number and
    time.
    """
    number = (0xB000 | kilograms).to_bytes(2, "little").hex()
    stamp_of = f"EA070301{8 + minute // 60:02X}{minute % 60:02X}00"
    return f"0A{minute:02X}00{stamp_of}{number}11{status.to_bytes(2, 'little').hex()}"


@pytest.mark.parametrize("bit", [2, 3, 4, 9])
def test_a_strip_that_measured_nothing_is_told_at_once_and_its_number_is_not_judged(
    bit: int,
) -> None:
    """Never judged, never published, and never silent: a person is asked to measure again."""
    frames = notified(
        "2A18", [(0, glucose(1 << bit, 0, kilograms=40)), (5, glucose(0, 5, kilograms=110))]
    )
    output = replay_frames(frames, [worn()])
    opened, over = (
        ("device:measurement", "medium", state, "Measurement failed")
        for state in ("open", "resolved")
    )
    assert alerts(output) == [opened, over]
    assert "measure again now" in of_type(output, "alert")[0]["why"][0]
    assert len(of_type(output, "observation")) == 1


@pytest.mark.parametrize("bit", [1, 10])
def test_a_fault_of_the_meter_leaves_its_low_value_judged(bit: int) -> None:
    """Law 3: a doubt hides nothing; the fault itself is told when it lasts."""
    faults = notified("2A18", [(at, glucose(1 << bit, at, kilograms=40)) for at in (0, 6, 12)])
    found = alerts(replay_frames(faults, [worn()]))
    assert ("glucose", "high", "open", "Glucose low") in [(group, *rest) for group, *rest in found]
    assert ("device:fault", "low", "open", "Device reports a fault") in found
    assert told(faults[:2]) == []


def test_a_meter_out_of_its_temperatures_is_told_and_its_value_counts() -> None:
    cold = notified("2A18", [(at, glucose(1 << 8, at)) for at in (0, 6, 12)])
    assert told(cold) == [("device:fault", "low", "open", "Device too warm or too cold")]
    assert len(of_type(replay_frames(cold, [worn()]), "observation")) == 3


def test_a_low_battery_that_a_meter_tells_beside_its_value_is_told_as_any_other() -> None:
    low = notified("2A18", [(0, glucose(1, 0)), (5, glucose(1, 5)), (9, glucose(0, 9))])
    assert [state for _, _, state, _ in told(low)] == ["open", "resolved"]


@pytest.mark.parametrize("status", ["0004", "0008", "0010", "0020", "0080"])
def test_an_oximeter_whose_values_do_not_count_is_told_and_over_when_they_do(status: str) -> None:
    """2A5F, measurement status: demo, test, calibration, unavailable, invalid.

    SpO2 60 % alerts nobody.
    """
    shown = f"043C004800{status}"
    lasting = [(at, shown) for at in (0, 15, 30)]
    opened, over = (
        ("device:fault", "low", state, "Device sends nothing that counts")
        for state in ("open", "resolved")
    )
    assert set(alerts(replay_frames(notified("2A5F", lasting), [worn()]))) == {opened}
    assert told(notified("2A5F", lasting[:2])) == []
    # saturation and pulse
    assert told(notified("2A5F", [*lasting, (31, "0061004800")])) == [opened, opened, over]


def test_a_sensor_whose_session_has_ended_is_not_judged() -> None:
    """2AA7 status bit 0: what is still sent says nothing of the person."""
    stopped = [(at, f"0780{35:02X}00{at:02X}0001") for at in range(0, 60, 5)]
    found = alerts(replay_frames(notified("2AA7", stopped), [worn()]))
    assert {group for group, *_ in found} == {"device:fault"}
    running = [(at, f"0780{35:02X}00{at:02X}0000") for at in range(0, 60, 5)]
    assert ("glucose", "high") in {
        each[:2] for each in alerts(replay_frames(notified("2AA7", running), [worn()]))
    }

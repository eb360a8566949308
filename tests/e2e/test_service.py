"""The running service from outside: one worker with all stages on a real broker, as an operator
has it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.kafka.world import World, world

from rpm_stream.app.ehr.client import FailureCause, ResourceKind
from rpm_stream.app.feed.auth.guesses import WAYS
from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.retention import READ
from rpm_stream.app.runtime.metrics import STAGES
from rpm_stream.records import AlertState, Priority, Reason
from rpm_stream.score.detectors.table import DETECTORS

SOUND = (0.0, "heart_rate", "72")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("service")) as found:
        yield found


def register(service: World, *entries: dict[str, Any]) -> None:
    """Load entries by the operator's command."""
    file = service.service.folder / "registry.jsonl"
    file.write_text("".join(json.dumps({"v": 1, **entry}) + "\n" for entry in entries))
    loaded = service.cli("registry", "load", str(file))
    assert (loaded.returncode, json.loads(loaded.stdout)) == (
        0,
        {"written": len(entries)},
    ), loaded.stderr


def worn(device: str, patient: str) -> dict[str, Any]:
    return {"device": device, "assignments": [{"patient": patient}]}


def heard(service: World, device: str) -> list[tuple[str, str]]:
    """Patient and value of every reading of a device."""
    return [
        (one["patient"], one["value"])
        for each in messages(service)
        for one in each
        if one["device"] == device
    ]


def messages(service: World) -> list[list[dict[str, Any]]]:
    """The readings of every message of rpm.readings that holds some; the others hold what people
    decided.
    """
    return [each["readings"] for each in service.records(names.READINGS) if "readings" in each]


def books(service: World) -> Counter[str]:
    """The sum of all accounts, the rejects by reason besides, and the readings that the judge
    gets.
    """
    found: Counter[str] = Counter()
    for account in service.records(names.ACCOUNTS):
        found.update(
            {
                "in": account["parts"],
                "reading": account["readings"],
                "duplicate": account["duplicates"],
            }
        )
        found.update({"reject": sum(account["rejects"].values()), "context": account["context"]})
        found.update(account["rejects"])
    found["judged"] = sum(len(each) for each in messages(service))
    return found


def counters(service: World) -> Counter[str]:
    """The same as the stages count it."""
    found: Counter[str] = Counter()
    for (outcome, _stage), count in service.counted("ingest", "rpm_parts_total").items():
        found[outcome] += int(count)
    found.update(
        {
            reason: int(count)
            for (reason,), count in service.counted("ingest", "rpm_rejects_total").items()
        }
    )
    found["judged"] = int(service.counted("judge", "rpm_parts_total").get(("in", "judge"), 0))
    return found


def poison() -> list[tuple[bytes | None, bytes | None]]:
    """Frames that name somebody and cannot be read."""
    name = b"zaphod-device"
    return [
        (name, b"\xff\x00zaphod"),
        (name, b'{"v":1,"device":"zaphod'),
        (name, b'{"v":"zaphod"}'),
        (name, None),
        (None, b'"zaphod"'),
        (b"\xffzaphod", b"{}"),
        (name, b"[" * 100_000),
        (name, b'{"zaphod":' + b"9" * 400 + b"}"),
    ]


def odd_frames(service: World) -> list[tuple[bytes | None, bytes | None]]:
    """One sound frame twice, and one for each way in which a readable one is refused in parts."""
    sound = service.frame("zaphod-device", (-2, "heart_rate", "71"), SOUND)
    far = service.frame("zaphod-device", (0, "heart_rate", "9000"), (0, "oxygen_saturation", "97"))
    unit = service.frame("zaphod-device", SOUND)
    device = service.frame("zaphod-unknown", SOUND)
    octets = service.frame("zaphod-device", SOUND)
    notified = json.loads(octets[1])
    del notified["measurements"]
    notified["notifications"] = [
        {"at": notified["sent_at"], "characteristic": characteristic, "payload": payload}
        for characteristic, payload in (
            ("2A37", "0049"),
            ("2A37", "00"),
            ("2A34", "00000001"),
            ("zaphod", "00"),
        )
    ]
    red = service.frame("zaphod-device", (1, "oxygen_saturation", "80"))
    return [
        sound,
        sound,
        far,
        (unit[0], unit[1].replace(b"/min", b"zaph/od")),
        device,
        (octets[0], json.dumps(notified).encode()),
        red,
        (b"zaphod-device", device[1]),
    ]


@pytest.fixture(scope="module")
def crowd(service: World) -> World:
    """A service that has seen people with conspicuous names, and everything that goes wrong with
    their data.
    """
    service.up()
    register(
        service,
        worn("zaphod-device", "zaphod-one"),
        {
            "patient": "zaphod-one",
            "display": "Zaphod Beeblebrox",
            "limits": [{"vital": "heart_rate", "high": 60, "unit": "/min", "owner": "Dr Zaphod"}],
        },
    )
    limit = b'{"vital":"x","unit":"x","owner":"x","priority":"zaphod"}'
    bad = b'{"v":1,"patient":"zaphod-one","limits":[' + limit + b"]}"
    service.put(names.REGISTRY, (b"patient/zaphod-one", bad))
    service.put(names.ACTIONS, (b"zaphod-one", b"zaphod"))
    goal = len(service.records(names.ACCOUNTS))
    records = [*poison(), *odd_frames(service)]
    service.put(names.FRAMES, *records)
    service.wait(
        "every frame has its account",
        lambda: len(service.records(names.ACCOUNTS)) == goal + len(records),
    )
    service.wait("the alert is told", lambda: service.alerts("zaphod-one", "vital_signs"))
    service.wait(
        "the judge is level", lambda: counters(service)["judged"] == books(service)["judged"]
    )
    service.wait(
        "the sink was refused", lambda: service.counted("sink", "rpm_sink_refused_resources_total")
    )
    return service


def test_every_part_is_counted_once_and_as_the_accounts_say(crowd: World) -> None:
    """Law 11: in = reading + duplicate + reject, in /metrics as in rpm.accounts."""
    found = books(crowd)
    assert found["in"] == found["reading"] + found["duplicate"] + found["reject"]
    assert found["duplicate"] > 0
    assert {
        "unknown_device",
        "implausible",
        "unknown_unit",
        "bad_json",
        "truncated",
    } <= found.keys()
    assert {name: count for name, count in counters(crowd).items() if count} == {
        name: count for name, count in found.items() if count
    }


def test_labels_have_only_the_values_of_their_enums(crowd: World) -> None:
    allowed = {
        "stage": set(STAGES),
        "outcome": {"in", "reading", "duplicate", "reject", "context"},
        "reason": set(get_args(Reason)),
        "priority": set(get_args(Priority)),
        "state": set(get_args(AlertState)),
        "kind": set(get_args(ResourceKind)),
        "cause": set(get_args(FailureCause)),
        "detector": {*DETECTORS, "news2"},
        "group": {group for group, _ in READ},
        "topic": {topic for _, topic in READ},
        "way": set(WAYS),
    }
    seen: dict[str, set[str]] = {}
    for stage in STAGES:
        for family in text_string_to_metric_families(crowd.scrape(stage)):
            for sample in family.samples if family.name.startswith("rpm_") else ():
                for label, value in sample.labels.items():
                    seen.setdefault(label, set()).add(value)
    seen.pop("le")
    assert {label: values - allowed[label] for label, values in seen.items()} == {
        label: set() for label in seen
    }
    assert {"stage", "outcome", "reason", "priority", "kind"} <= seen.keys()


def test_nothing_that_an_operator_sees_names_anybody(crowd: World) -> None:
    """Law 11: logs, metrics, refusals over HTTP and the texts of commands hold no patient,
    device, name or token.
    """
    file = crowd.service.folder / "bad.jsonl"
    file.write_text('{"v":1,"patient":"zaphod-one","oxygen_scale":"zaphod"}\n')
    commands = [
        crowd.cli("registry", "load", str(file)),
        crowd.cli("registry", "show", "device/zaphod-nobody"),
        crowd.cli("registry", "unassign", "zaphod-nobody"),
        crowd.cli("registry", "assign", "zaphod-x", "y", "--at", "0"),
    ]
    assert [each.returncode for each in commands] == [2, 2, 2, 2]
    answers = [
        crowd.http("GET", "/api/alerts/00000000-0000-0000-0000-000000000000"),
        crowd.http("GET", "/api/alerts/zaphod"),
        crowd.http(
            "POST",
            "/api/alerts/00000000-0000-0000-0000-000000000000/acknowledge",
            json={"who": {"zaphod": 1}},
        ),
        crowd.http(
            "GET", "/api/alerts?patient_ref=zaphod", headers={"authorization": "Bearer zaphod"}
        ),
    ]
    assert [each.status_code for each in answers] == [404, 422, 422, 401]
    seen = {
        "log": crowd.said(),
        "broker log": crowd.service.broker.log.read_text(),
        "processes": (
            subprocess.run(
                ["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True
            ).stdout
        ),
        **{f"metrics of {stage}": crowd.scrape(stage) for stage in STAGES},
        **{f"text {number}": each.stderr for number, each in enumerate(commands)},
        **{
            f"answer {number}": each.text + str(each.headers) for number, each in enumerate(answers)
        },
    }
    found = {
        place: re.findall(r"(?i).{0,80}(?:zaphod|beeblebrox).{0,40}", text)
        for place, text in seen.items()
    }
    assert {place: lines for place, lines in found.items() if lines} == {}
    assert "ingest.not_an_action" in seen["log"] or "unreadable" in seen["log"], (
        "the bad messages were not even mentioned"
    )


def test_an_action_that_cannot_be_read_is_logged_without_what_it_holds(service: World) -> None:
    service.up()
    before = len(service.said())
    service.put(names.ACTIONS, (b"zaphod-one", b'{"action":"zaphod"}'))
    service.wait("it is logged", lambda: "ingest.not_an_action" in service.said()[before:])
    assert "zaphod" not in service.said()[before:]


def test_the_registry_comes_back_as_it_was_loaded_and_reaches_running_stages(
    service: World,
) -> None:
    service.up()
    service.put(names.FRAMES, service.frame("swap", SOUND))
    service.wait(
        "unknown device",
        lambda: "swap" in {each["device"] for each in service.records(names.REJECTS)},
    )

    def appears(patient: str, value: str) -> None:
        def again() -> bool:
            service.put(names.FRAMES, service.frame("swap", (0, "heart_rate", value)))
            return (patient, value) in heard(service, "swap")

        service.wait(f"a reading of {value}", again)

    start = (service.clock.now() - timedelta(days=1)).isoformat()
    assert (
        service.cli(
            "registry", "assign", "swap", "first", "--at", start, "--model", "Band 3"
        ).returncode
        == 0
    )
    appears("first", "61")
    change = service.clock.now().isoformat()
    assert service.cli("registry", "assign", "swap", "second", "--at", change).returncode == 0
    appears("second", "62")
    assert {patient for patient, value in heard(service, "swap") if value == "61"} == {"first"}
    # measured before the change
    service.put(names.FRAMES, service.frame("swap", (-24 * 60 + 5, "heart_rate", "63")))
    service.wait("the late one", lambda: ("first", "63") in heard(service, "swap"))

    shown = service.cli("registry", "show", "device/swap")
    entry = json.loads(shown.stdout)
    assert [one["patient"] for one in entry["assignments"]] == ["first", "second"]
    assert entry["assignments"][0]["until"] == entry["assignments"][1]["from"]
    assert entry["model"] == "Band 3"
    everything = service.cli("registry", "show")
    file = service.service.folder / "shown.jsonl"
    file.write_text(everything.stdout)
    assert service.cli("registry", "load", str(file)).returncode == 0
    assert service.cli("registry", "show").stdout == everything.stdout

    assert (
        service.cli(
            "registry", "unassign", "swap", "--at", service.clock.now().isoformat()
        ).returncode
        == 0
    )

    def refused() -> bool:
        service.put(names.FRAMES, service.frame("swap", (0, "heart_rate", "64")))
        return ("unassigned", "swap") in {
            (each["reason"], each["device"]) for each in service.records(names.REJECTS)
        }

    service.wait("unassigned", refused)


def stay_low(service: World, device: str) -> None:
    """Send three low saturations over twenty minutes: a high alert."""
    lows = [(minutes, "oxygen_saturation", "88") for minutes in (-20.0, -10.0, 0.0)]
    service.put(names.FRAMES, service.frame(device, *lows))


def test_an_acknowledgement_reaches_the_alert_and_survives_a_kill_of_the_judge(
    service: World,
) -> None:
    service.up()
    register(service, worn("ack", "ack-patient"))
    stay_low(service, "ack")

    def states() -> list[tuple[str, str]]:
        return [
            (one["state"], one["priority"]) for one in service.alerts("ack-patient", "vital_signs")
        ]

    service.wait("a high alert", lambda: ("open", "high") in states())
    alert = service.alerts("ack-patient", "vital_signs")[-1]["id"]
    service.wait(
        "the feed has it", lambda: service.http("GET", f"/api/alerts/{alert}").status_code == 200
    )
    judge = service.pid("judge")
    taken = service.http(
        "POST", f"/api/alerts/{alert}/acknowledge", json={"who": "N. Adeyemi", "reason": "calling"}
    )
    assert taken.status_code == 202
    service.kill("judge")
    service.wait("acknowledged", lambda: states()[-1] == ("acknowledged", "high"))
    assert service.pid("judge") != judge, "the supervisor did not start it again"
    service.put(names.FRAMES, service.frame("ack", (1, "oxygen_saturation", "88")))
    service.wait(
        "the next reading is judged", lambda: ("ack-patient", "88") in heard(service, "ack")[3:]
    )
    service.wait(
        "the judge is level", lambda: not sum(service.counted("judge", "rpm_lag_messages").values())
    )
    last = service.alerts("ack-patient", "vital_signs")[-1]
    assert last["state"] == "acknowledged"
    assert [step["who"] for step in last["history"] if step["state"] == "acknowledged"] == [
        "N. Adeyemi"
    ]
    listed = service.http("GET", f"/api/alerts/{alert}").json()["history"]
    assert ("acknowledged", "N. Adeyemi") in {(step["state"], step["who"]) for step in listed}


def silence(service: World, patient: str) -> list[dict[str, Any]]:
    return service.alerts(patient, "device:silence")


def test_silence_is_told_with_the_time_of_the_last_reading_and_ends_when_it_is_heard_again(
    service: World,
) -> None:
    """As a replay of the same frames with --until tells it: same id, same moment, whenever it
    was noticed.
    """
    service.up()
    entries = [
        worn("quiet", "quiet-patient"),
        {"patient": "quiet-patient", "expected_every": {"heart_rate": 10}},
    ]
    register(service, *entries)
    frame = service.frame("quiet", SOUND)
    service.put(names.FRAMES, frame)
    service.wait("silence", lambda: silence(service, "quiet-patient"))
    told = silence(service, "quiet-patient")[0]
    sent = datetime.fromisoformat(json.loads(frame[1])["sent_at"])
    assert datetime.fromisoformat(told["opened_at"]) == sent + timedelta(minutes=10)

    folder = service.service.folder
    (folder / "quiet.jsonl").write_bytes(frame[1] + b"\n")
    (folder / "quiet-registry.jsonl").write_text(
        "".join(json.dumps({"v": 1, **entry}) + "\n" for entry in entries)
    )
    until = (sent + timedelta(hours=5)).isoformat()
    again = service.cli(
        "replay", "quiet.jsonl", "--registry", "quiet-registry.jsonl", "--until", until
    )
    [alert] = [json.loads(line)["record"] for line in again.stdout.splitlines()]
    same = ("id", "group", "priority", "state", "title", "why", "rule", "evidence", "opened_at")
    assert {name: told[name] for name in same} == {name: alert[name] for name in same}

    service.put(names.FRAMES, service.frame("quiet", SOUND))
    service.wait("resolved", lambda: silence(service, "quiet-patient")[-1]["state"] == "resolved")

    service.wait("silent again", lambda: silence(service, "quiet-patient")[-1]["state"] == "open")
    assert (
        service.cli(
            "registry", "unassign", "quiet", "--at", service.clock.now().isoformat()
        ).returncode
        == 0
    )
    service.wait("unassigned", lambda: silence(service, "quiet-patient")[-1]["state"] == "resolved")


def test_while_ingest_is_down_nothing_is_told_that_its_data_or_a_decision_prevents(
    service: World,
) -> None:
    """The readings and the decision are there, only not yet taken up: time waits for both.

    A slow or dead ingest makes no patient silent, and what was acknowledged does not escalate.
    """
    service.up()
    register(service, worn("calling", "called-patient"))
    stay_low(service, "calling")

    def last() -> dict[str, Any]:
        return (service.alerts("called-patient", "vital_signs") or [{"priority": None}])[-1]

    service.wait("a high alert", lambda: last()["priority"] == "high")
    alert = last()["id"]
    service.wait(
        "the feed has it", lambda: service.http("GET", f"/api/alerts/{alert}").status_code == 200
    )
    register(
        service,
        worn("held", "held-patient"),
        {"patient": "held-patient", "expected_every": {"heart_rate": 10}},
    )
    service.wait("ingest knows the device", lambda: _ingested(service, "held"))
    ingest = service.pid("ingest")
    os.kill(ingest, signal.SIGSTOP)
    try:
        later = [
            service.frame("held", (minutes, "heart_rate", "70")) for minutes in range(5, 600, 5)
        ]
        service.put(names.FRAMES, *later)
        taken = service.http("POST", f"/api/alerts/{alert}/acknowledge", json={"who": "N. Adeyemi"})
        assert taken.status_code == 202
        decided = service.clock.now()
        over = decided + timedelta(minutes=70)  # two rounds of ticks after either limit
        service.wait("the time is over", lambda: service.clock.now() > over)
        assert silence(service, "held-patient") == []
        assert last()["state"] == "open", "somebody else forwarded it"
    finally:
        os.kill(ingest, signal.SIGCONT)
    service.wait("acknowledged", lambda: last()["state"] == "acknowledged")
    # The decision itself is stamped by the feed, whose clock follows Kafka's: in fast time it may
    # be seconds ahead.
    late = [step for step in last()["history"] if datetime.fromisoformat(step["at"]) > decided]
    assert [step for step in late if step["state"] != "acknowledged"] == []
    service.wait("all is read", lambda: len(heard(service, "held")) > len(later))
    service.wait(
        "the judge is level", lambda: not sum(service.counted("judge", "rpm_lag_messages").values())
    )
    assert silence(service, "held-patient") == []


def _ingested(service: World, device: str) -> bool:
    service.put(names.FRAMES, service.frame(device, SOUND))
    return bool(heard(service, device))


@pytest.mark.parametrize("what", ["RPM_METRICS_PORT", "RPM_FEED_PORT"])
def test_a_busy_port_is_one_line(what: str, service: World) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        ports = {
            "RPM_METRICS_PORT": "0",
            what: str(port - STAGES.index("feed") if "METRICS" in what else port),
        }
        ran = subprocess.run(
            [sys.executable, "-m", "rpm_stream", "worker", "--stages", "feed"],
            capture_output=True,
            text=True,
            env={**service.environment, **ports, "RPM_LOG_LEVEL": "ERROR"},
            timeout=60,
            check=False,
        )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert re.fullmatch(rf"rpm-stream: [^\n]*:{port}[^\n]*{what}[^\n]*\n", ran.stderr), ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_ends_with_all_its_stages(number: signal.Signals, service: World) -> None:
    service.up()
    before = len(service.said())
    children = [service.pid(stage) for stage in STAGES]
    assert service.worker is not None
    service.worker.send_signal(number)
    assert service.worker.wait(25) == 0
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    # A call into Faust's consumer thread that the end has cancelled may still be answered: asyncio
    # then says InvalidStateError of an answer that nobody waits for. Any other traceback is ours.
    said = [
        line for line in service.said()[before:].splitlines() if "InvalidStateError" not in line
    ]
    assert "Traceback" not in "\n".join(said)

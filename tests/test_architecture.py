"""The house's walls, read from the source: who imports whom, who may touch the world, and how large a thing may be.

Every exception stands in a table here with its reason; one that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "rpm_stream"
MODULES = sorted(SOURCE.rglob("*.py"))

# Left may be imported by right, never the other way round; two names of one level only where SAME_STAGE says so.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"records", "ids"}),
    frozenset({"knowledge", "registry", "words"}),
    frozenset({"ingest", "normalise", "duplicates", "score", "alert", "publish"}),
    frozenset({"pipeline"}),
    frozenset({"app"}),
    frozenset({"__main__"}),
)
SAME_STAGE = {"duplicates": "normalise"}  # DESIGN: normalise.py does duplicates too; the file was split for its size

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
    ("pipeline/state.py", "importlib"): "a state says which River wrote it: the version is a constant of the run",
}

# --- sizes --------------------------------------------------------------------------------------------------------

MODULE_LINES = 300
FUNCTION_LINES = 40
PARAMETERS = 5
SIZE_EXCEPTIONS = {
    "records.py": "all nouns in one file: one look shows what the topics hold; it has no behaviour",
}

# --- metrics ------------------------------------------------------------------------------------------------------

METRIC_CLASSES = frozenset({"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"})
LABELS = {
    "stage": "the agents, sink and feed",
    "outcome": "in, reading, duplicate, reject, context",
    "reason": "records.Reason",
    "priority": "records.Priority",
    "state": "records.State",
    "kind": "kinds of Observation; FHIR resource types that we write",
    "detector": "score.detectors.DETECTORS",
    "cause": "why a request is sent again: fhir_client.Cause",
}
IDENTIFYING = frozenset("patient device gateway alert frame who ref id ids".split())


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def unit_of(path: Path) -> str:
    """The part of the house that a file belongs to: a package or a single module."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Dotted names of everything that a module imports, wherever in it the import stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{name_of(path)}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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


def aliases(path: Path) -> dict[str, str]:
    """What a local name stands for: ``dt`` for ``datetime.datetime`` after ``from datetime import datetime as dt``."""
    found: dict[str, str] = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value, known)) is not None:
        return f"{base}.{node.attr}"
    return None


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


def metric_calls(path: Path) -> Iterator[ast.Call]:
    known = aliases(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            module, _, name = (dotted(node.func, known) or "").rpartition(".")
            if module.split(".")[0] == "prometheus_client" and name in METRIC_CLASSES:
                yield node


def label_names(call: ast.Call) -> list[str]:
    given = (
        call.args[2] if len(call.args) > 2 else next((k.value for k in call.keywords if k.arg == "labelnames"), None)
    )
    if given is None:
        return []
    names = ast.literal_eval(given)  # fails on anything but a literal: a list that is made up at run time hides a label
    assert isinstance(names, list | tuple)
    return [str(name) for name in names]


@pytest.mark.parametrize("path", [path for path in MODULES if any(metric_calls(path))], ids=name_of)
def test_labels_come_from_enums(path: Path) -> None:
    """Law 11: a label is one of the table, so that its values are few and name nobody."""
    unknown = {name for call in metric_calls(path) for name in label_names(call)} - set(LABELS)
    assert not unknown, f"{name_of(path)}: {sorted(unknown)}: add it to LABELS with the enum that its values come from"


def value_names(value: ast.expr) -> set[str]:
    """What a value is called: ``priority`` for ``alert.priority``, ``patient`` for ``str(reading.patient)``."""
    if isinstance(value, ast.Attribute):
        return {value.attr}
    if isinstance(value, ast.Name):
        return {value.id}
    children = [child for child in ast.iter_child_nodes(value) if isinstance(child, ast.expr)]
    return {name for child in children for name in value_names(child)}


def naming_labels(path: Path) -> list[str]:
    """Places where a label's value is made up of text, or is called by a word of IDENTIFYING."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels":
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            words = {word for value in given for word in value_names(value)}
            wrong = sorted(word for word in words if not IDENTIFYING.isdisjoint(word.lower().split("_")))
            made_up = any(isinstance(one, ast.JoinedStr) for value in given for one in ast.walk(value))
            found += [f"{path.name}:{node.lineno}: {word}" for word in wrong + ["f-string"] * made_up]
    return found


def test_no_label_value_names_anyone() -> None:
    """Law 11, the other side: nothing that is called a patient, a device, a gateway or an id is given to a label."""
    assert [text for path in MODULES for text in naming_labels(path)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("X.labels(reading.patient)", ["module.py:1: patient"]),
        ("X.labels(kind=str(device_id))", ["module.py:1: device_id"]),
        ("X.labels(f'{a}')", ["module.py:1: f-string"]),
        ("X.labels(alert.priority, stage='ingest')", []),
    ],
)
def test_the_label_check_sees(source: str, found: list[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert naming_labels(path) == found


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

"""The architecture, read from the source.

The laws: who imports whom, who may touch the world, how large a thing may be, how often a name may
occur, how long a chain of imports may be, and what must be installed. A table here lists every
exception with its reason. An exception that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.paths import repository
from support.source import (
    MODULES,
    SOURCE,
    aliases,
    dotted,
    exceptions,
    import_graph,
    imported,
    name_of,
    tree,
    unit_of,
)

# A floor may import those before it, never those after it. Two names of one floor never import each
# other.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"records", "ids", "errors"}),
    frozenset({"ahead", "entries", "envelope", "text"}),
    frozenset({"knowledge", "sameness"}),
    frozenset({"ingest", "normalise", "score", "alert", "publish"}),
    frozenset({"pipeline"}),
    frozenset({"evaluation"}),
    frozenset({"app"}),
    frozenset({"__main__", "gateway"}),
)
# Rooms of the packages that have floors of their own. ``score/`` and ``app/`` hold packages only.
INNER_FLOORS: dict[str, tuple[frozenset[str], ...]] = {
    "score": (
        frozenset({"detectors", "deterioration"}),
        frozenset({"memory"}),
        frozenset({"baseline", "forecast"}),
        frozenset({"rules"}),
    ),
    "app": (
        frozenset({"runtime"}),
        frozenset({"kafka"}),
        frozenset({"engine", "broker"}),
        frozenset({"registry"}),
        frozenset({"agents", "feed", "ehr", "gateway", "operate"}),
        frozenset({"simulator"}),
        frozenset({"stages"}),
        frozenset({"cli"}),
    ),
}

# --- outside app/: no clock, no socket, no file, no environment -----------------------------------

PURE_LIBRARIES = {
    "msgspec": "the records' own types and their wire form",
    "numpy": "arithmetic",
    "river": "the learning detectors",
}
BANNED_MODULES = frozenset(
    "asyncio concurrent ctypes email fcntl ftplib glob http imaplib importlib io logging mmap"
    " multiprocessing os pathlib pickle platform poplib queue random sched secrets select selectors"
    " shelve shutil signal smtplib socket socketserver sqlite3 ssl subprocess sys tempfile"
    " threading time urllib webbrowser".split()
)
BANNED_NAMES = frozenset(
    "datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today"
    " uuid.uuid1 uuid.uuid4 open print input eval exec __import__ breakpoint".split()
)
BANNED_METHODS = frozenset(
    "read_text read_bytes write_text write_bytes open iterdir exists is_file is_dir".split()
)
WORLD_EXCEPTIONS = exceptions(
    {
        "knowledge/__init__.py": {
            "importlib": "the shipped tables are data files of the package",
            "pathlib": "a clinic's own tables are a folder, named once at the start",
            "read_text": "reads the tables, once, before the first record",
            "exists": "tells which of the tables a clinic's folder replaces",
            "is_dir": "a folder that is missing is an error, not a silent use of the shipped"
            " tables",
        },
    }
)

# --- sizes ----------------------------------------------------------------------------------------

MODULE_LINES = 400
CLASS_LINES = 150
FUNCTION_LINES = 40
PARAMETERS = 5
SIZE_EXCEPTIONS: dict[str, str] = {}


def for_reason(reason: str, words: str) -> dict[str, str]:
    """Return exceptions that share one reason."""
    return dict.fromkeys(words.split(), reason)


LARGE_CLASSES: dict[str, str] = {}
LARGE_FUNCTIONS: dict[str, str] = {}

# --- names ----------------------------------------------------------------------------------------

SAME_STEM = for_reason(
    "the room says which: what comes in and what goes out, or values and their drawing",
    "chart codes observation rows",
)
SAME_CLASS: dict[str, str] = {}

# --- how far one has to read ----------------------------------------------------------------------

# modules in a chain in which each imports the next
LONGEST_CHAIN = {
    "loaded": 15,
    "loaded or called": 21,  # imports inside functions count too
}

# --- what an installation needs -------------------------------------------------------------------

NOT_IMPORTED = {
    "cramjam": "aiokafka loads it for messages that are compressed with lz4 or zstd",
}


# --- Kafka ----------------------------------------------------------------------------------------

MAKE_CLIENTS = {
    "app/kafka/clients.py": "signs in, starts and stops them",
    "app/engine/": "what Faust makes, made exact",
    "app/gateway/link.py": "the public client, installed without the rest",
}


def own_names(path: Path) -> set[str]:
    """Return a module's imports of the package, without its root: ``score.rules.news2.Chart``."""
    return {
        name.removeprefix("rpm_stream.")
        for name in imported(path)
        if name.startswith("rpm_stream.") and name != "rpm_stream.__version__"
    }


def level(unit: str, floors: Sequence[frozenset[str]] = FLOORS) -> int:
    found = [number for number, units in enumerate(floors) if unit in units]
    assert found, f"{unit} has no place in the house: add it to FLOORS or INNER_FLOORS"
    return found[0]


def may_import(importer: Path, target: str) -> bool:
    """Return whether the target's floor lies below the importer's.

    Within a package with inner floors it is the room's floor.
    """
    ours, theirs = importer.relative_to(SOURCE).parts, target.split(".")
    unit = ours[0].removesuffix(".py")
    if unit != theirs[0]:
        return level(theirs[0]) < level(unit)
    floors = INNER_FLOORS.get(unit)
    if floors is None or ours[1] == theirs[1]:
        return True
    return level(theirs[1], floors) < level(ours[1], floors)


def pure_modules() -> list[Path]:
    return [path for path in MODULES if unit_of(path) not in ("app", "gateway", "__main__")]


def test_there_is_something_to_check() -> None:
    """Guards all that follows: an empty list of modules would pass everything."""
    assert len(MODULES) > 50
    assert {unit_of(path) for path in MODULES} >= {
        "records",
        "knowledge",
        "ingest",
        "score",
        "pipeline",
        "app",
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows(path: Path) -> None:
    """Data flows to the right, imports point to the left, and stages never import each other."""
    if name_of(path) == "__init__.py":
        assert not own_names(path)
        return
    wrong = sorted(target for target in own_names(path) if not may_import(path, target))
    assert not wrong, f"{name_of(path)} imports {wrong}"


@pytest.mark.parametrize("package", INNER_FLOORS)
def test_a_package_with_floors_holds_rooms_alone(package: str) -> None:
    """No module lies beside the rooms, and every room has its floor."""
    folder = SOURCE / package
    assert [path.name for path in folder.glob("*.py")] == ["__init__.py"]
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert rooms == frozenset().union(*INNER_FLOORS[package])


def touches(path: Path) -> set[str]:
    """Return the banned modules, names and methods that a module mentions."""
    roots = {name.split(".")[0] for name in imported(path)}
    found = {root for root in roots if root in BANNED_MODULES}
    found |= {
        root
        for root in roots - {"rpm_stream"} - set(PURE_LIBRARIES)
        if root not in sys.stdlib_module_names
    }
    known = aliases(path)
    for node in ast.walk(tree(path)):
        if (
            isinstance(node, ast.Attribute | ast.Name)
            and (name := dotted(node, known)) in BANNED_NAMES
        ):
            found.add(str(name))
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in BANNED_METHODS
        ):
            found.add(node.func.attr)
    return found


@pytest.mark.parametrize("path", pure_modules(), ids=name_of)
def test_nothing_above_the_line_touches_the_world(path: Path) -> None:
    """Law 4: no clock is read outside app/.

    Nor is a socket, file, environment, thread or log used.
    """
    wrong = sorted(what for what in touches(path) if (name_of(path), what) not in WORLD_EXCEPTIONS)
    assert not wrong, f"{name_of(path)} uses {wrong}"


def test_no_exception_outlives_its_need() -> None:
    used = {(name_of(path), what) for path in pure_modules() for what in touches(path)}
    assert set(WORLD_EXCEPTIONS) <= used, (
        f"not needed any more: {sorted(set(WORLD_EXCEPTIONS) - used)}"
    )
    large = {name_of(path) for path in MODULES if line_count(path) > MODULE_LINES}
    long_functions = {
        one.name
        for path in MODULES
        for one, _ in functions(path)
        if function_lines(path, one) > FUNCTION_LINES
    }
    long = {one.name for path in MODULES for one in classes(path) if lines_of(one) > CLASS_LINES}
    for excepted, needed in (
        (SIZE_EXCEPTIONS, large),
        (LARGE_CLASSES, long),
        (LARGE_FUNCTIONS, long_functions),
        (SAME_STEM, repeated_stems()),
        (SAME_CLASS, repeated_classes()),
        (NOT_IMPORTED, not_imported()),
    ):
        assert set(excepted) <= set(needed), (
            f"not needed any more: {sorted(set(excepted) - set(needed))}"
        )


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


def lines_of(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a class or function has without its docstring."""
    first = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    documented = (first.end_lineno or first.lineno) - first.lineno + 1 if first is not None else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - documented


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Yield every function, with whether it is a method that gets its instance or class."""
    for parent in ast.walk(tree(path)):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                static = any(
                    isinstance(one, ast.Name) and one.id == "staticmethod"
                    for one in node.decorator_list
                )
                yield node, isinstance(parent, ast.ClassDef) and not static


def function_lines(path: Path, function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines of a function count.

    The options of a command are declarations. Its signature counts as one line.
    """
    signature = function.body[0].lineno - function.lineno if is_command(path, function) else 1
    return lines_of(function) - signature + 1


def is_command(path: Path, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function is a command.

    A command's parameters are its options. typer reads them from the signature and has no form for
    a record.
    """
    return name_of(path).startswith("app/cli/") and not function.name.startswith("_")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sizes(path: Path) -> None:
    """What fits on a screen or two can be read before it is changed."""
    wrong = []
    if line_count(path) > MODULE_LINES and name_of(path) not in SIZE_EXCEPTIONS:
        wrong.append(f"{line_count(path)} lines (at most {MODULE_LINES})")
    large = (
        one
        for one in classes(path)
        if lines_of(one) > CLASS_LINES and one.name not in LARGE_CLASSES
    )
    wrong += [f"{one.name}: {lines_of(one)} lines (at most {CLASS_LINES})" for one in large]
    for function, bound in functions(path):
        length = function_lines(path, function)
        if length > FUNCTION_LINES and function.name not in LARGE_FUNCTIONS:
            wrong.append(f"{function.name}: {length} lines (at most {FUNCTION_LINES})")
        given = function.args
        parameters = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - bound
        if parameters > PARAMETERS and not is_command(path, function):
            wrong.append(
                f"{function.name}: {parameters} parameters (at most {PARAMETERS}, then a record)"
            )
    assert not wrong, f"{name_of(path)}: {'; '.join(wrong)}"


@pytest.mark.parametrize(
    ("place", "name", "lines"),
    [
        ("app/cli/replay.py", "replay", 3),
        ("app/cli/replay.py", "_replay", 6),
        ("pipeline/replay.py", "replay", 6),
    ],
)
def test_the_options_of_a_command_are_not_its_length(place: str, name: str, lines: int) -> None:
    """The check itself: the body of a command counts, and all of any other function."""
    source = f'def {name}(\n    a: int,\n    b: int,\n):\n    """Do."""\n    a += b\n    return a\n'
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert function_lines(SOURCE / place, function) == lines


def floor(path: Path) -> tuple[int, str]:
    """Return the floor of a module; each room of ``app/`` and ``score/`` is one of its own."""
    unit = unit_of(path)
    room = path.relative_to(SOURCE).parts[1] if unit in INNER_FLOORS else ""
    return level(unit), room


def repeated(homes: dict[Any, list[Path]]) -> dict[str, list[str]]:
    """Return the names that have several homes, with these homes."""
    found: dict[str, list[str]] = {}
    for (name, *_), paths in homes.items():
        if len(paths) > 1:
            found.setdefault(name, []).extend(sorted(map(name_of, paths)))
    return found


def repeated_stems(paths: Sequence[Path] = MODULES) -> dict[str, list[str]]:
    """Return the names of modules that occur twice on one floor.

    A package's ``__init__`` has the package's name.
    """
    homes: dict[Any, list[Path]] = defaultdict(list)
    for path in paths:
        if not path.stem.startswith("__"):
            homes[path.stem, *floor(path)].append(path)
    return repeated(homes)


def repeated_classes(paths: Sequence[Path] = MODULES) -> dict[str, list[str]]:
    """Return the names of public classes that occur twice in the package."""
    homes: dict[Any, list[Path]] = defaultdict(list)
    for path in paths:
        for one in classes(path):
            if not one.name.startswith("_"):
                homes[one.name,].append(path)
    return repeated(homes)


def test_a_module_has_a_name_of_its_own_on_its_floor() -> None:
    """A search for a name finds one place."""
    wrong = {name: paths for name, paths in repeated_stems().items() if name not in SAME_STEM}
    assert not wrong, "give one of them another name"


def test_a_class_has_a_name_of_its_own_in_the_package() -> None:
    """A name means one thing in all modules."""
    wrong = {name: paths for name, paths in repeated_classes().items() if name not in SAME_CLASS}
    assert not wrong, "give one of them another name"


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """Return modules from the one that imports nothing to the one that needs most.

    Raises CycleError if there is a circle.
    """
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        longest = max((chains[needed] for needed in graph[name]), default=[], key=len)
        chains[name] = [*longest, name]
    return max(chains.values(), key=len)


@pytest.mark.parametrize("kind", LONGEST_CHAIN)
def test_a_chain_of_imports_is_short_and_no_circle(kind: str) -> None:
    """How many modules one has to read, at most, to know what a line does."""
    chain = longest_chain(import_graph(inside=kind == "loaded or called"))
    assert len(chain) <= LONGEST_CHAIN[kind], " <- ".join(chain)


def test_the_checks_of_names_and_chains_see() -> None:
    """The checks themselves.

    A repeated name is found, a chain has its real length, and a circle is an error.
    """
    assert longest_chain({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == ["c", "b", "a"]
    with pytest.raises(CycleError):
        longest_chain({"a": {"b"}, "b": {"a"}})
    one = next(path for path in MODULES if any(classes(path)) and path.stem != "__init__")
    assert one.stem in repeated_stems([one, one])
    assert repeated_stems([one]) == repeated_classes([one]) == {}
    assert set(repeated_classes([one, one])) == {
        each.name for each in classes(one) if not each.name.startswith("_")
    }


def made_clients(path: Path) -> set[str]:
    """The classes of Kafka's clients that a module uses otherwise than to name a type: it makes
    them, derives from them or passes them on.
    """
    known = aliases(path)
    types = {
        id(part)
        for node in ast.walk(tree(path))
        for field in ("annotation", "returns")
        if isinstance(kind := getattr(node, field, None), ast.AST)
        for part in ast.walk(kind)
    }
    return {
        name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in types
        if (name := (dotted(node, known) or "").rpartition(".")[2]).startswith("AIOKafka")
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_kafka_clients_are_made_in_one_place(path: Path) -> None:
    """Elsewhere one would not sign in, stay open when it is cancelled, or find its own words for a
    broker that is away.
    """
    found = made_clients(path)
    assert not found or name_of(path).startswith(tuple(MAKE_CLIENTS)), "use app/kafka/clients.py"


def test_every_maker_of_clients_is_needed() -> None:
    for maker in MAKE_CLIENTS:
        assert any(made_clients(path) for path in MODULES if name_of(path).startswith(maker)), maker


@pytest.mark.parametrize(
    "source",
    [
        "from aiokafka import AIOKafkaProducer\nx = AIOKafkaProducer()",
        "from aiokafka import AIOKafkaProducer as P\nx = P()",
        "import aiokafka\nx = aiokafka.AIOKafkaProducer()",
        "import aiokafka as k\ndef f():\n    return g(k.AIOKafkaProducer)",
        "from aiokafka import AIOKafkaProducer\nclass P(AIOKafkaProducer): ...",
    ],
)
def test_the_check_of_clients_sees(source: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert made_clients(path) == {"AIOKafkaProducer"}
    path = tmp_path / "typed.py"
    typed = "from aiokafka import AIOKafkaProducer as P\nx: P\ndef f(a: P, b: list[P]) -> P: ..."
    path.write_text(typed, encoding="utf-8")
    assert not made_clients(path)


def not_imported() -> set[str]:
    """Return the packages that every installation gets and no module imports."""
    project = tomllib.loads(repository("pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {Requirement(one).name for one in project["dependencies"]}
    roots = {name.split(".")[0] for path in MODULES for name in imported(path)}
    homes = packages_distributions()
    used = {canonicalize_name(package) for root in roots for package in homes.get(root, ())}
    return {name for name in names if canonicalize_name(name) not in used}


def test_every_hard_dependency_is_imported() -> None:
    """A dependency that no module imports belongs in an extra, or goes."""
    assert not_imported() <= set(NOT_IMPORTED)


def test_the_gateway_client_runs_without_faust() -> None:
    """The client runs on hubs in homes.

    Nothing that it loads, directly or through others, imports the engine.
    """
    modules = [
        "rpm_stream."
        + name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in MODULES
        if name_of(path).startswith(("app/gateway/", "gateway/"))
    ]
    assert len(modules) > 5
    code = (
        f"import sys, importlib\nfor name in {modules!r}:"
        " importlib.import_module(name)\nprint('faust' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"

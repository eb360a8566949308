"""Law: the source is described in plain English, and one assignment sets one name.

``support.source`` finds the files. Here each docstring and comment of the package, each comment of
its tables and each bundled document is read. The signs are words that point to a literary sentence:
the law asks for another sentence, not for another word. Names in backticks, quoted words and code
blocks are left out. The lengths of modules, classes and functions and the number of parameters are
checked in ``test_architecture.py``.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from support.paths import repository
from support.source import MODULES, SOURCE, module_name, name_of, tree

SIGNS = re.compile(r"\b(told|said|stands|anew|whoever|nobody|octets?)\b", re.IGNORECASE)
OCTET = re.compile(r"\boctets?\b", re.IGNORECASE)
OCTET_ROOMS = frozenset({"ingest/gatt"})  # the word of the Bluetooth specifications
SEMICOLONS = 0.1  # a docstring, on average in a room; in River and httpx it is less
LEFT_OUT = re.compile(r"``.*?``|`[^`]*`|\"[^\"]*\"|“[^”]*”", re.DOTALL)

# Rooms that still have a sign or too many semicolons. An entry that is no longer needed fails.
NOT_YET: tuple[str, ...] = ()

# Documents that still have a sign. An entry that is no longer needed fails.
DOCUMENTS_NOT_YET: tuple[str, ...] = ()

# Assignments of two names at once whose values do not depend on each other, with their reason.
TWO_NAMES: dict[tuple[str, str], str] = {}

# Files that a text names and this repository does not hold, with their reason.
ELSEWHERE: dict[str, str] = {}

FILE = re.compile(r"(?<![\w./*-])(?:[\w-]+/)*\w+\.py\b")
DOTTED = re.compile(r"\brpm_stream(?:\.\w+)+")
PATH = re.compile(
    r"(?<![\w./-])(?:ingest|normalise|score|alert|publish|pipeline|knowledge|records|app|tests"
    r"|topics|deploy|docs|benchmarks)(?:/[\w.-]*\w)+"
)
CITED = re.compile(r"\b(CONTRACT|law|laws) ([0-9]+)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)


def room_of(path: Path) -> str:
    """Return the folder of a module or table; ``.`` for the package's own folder."""
    return path.parent.relative_to(SOURCE).as_posix()


def docstrings(module: ast.Module) -> Iterator[str]:
    """Yield the docstrings of the module, its classes and functions, and the texts below fields."""
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


def comments(source: str) -> Iterator[str]:
    """Yield the comments of a module. Those on consecutive lines are one text."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1:
            yield "\n".join(block)
            block = []
        block.append(token.string)
        last = token.start[0]
    yield "\n".join(block)


def table_comments(source: str) -> Iterator[str]:
    """Yield the comments of a TOML table."""
    for line in source.splitlines():
        if (start := re.sub(r'"[^"]*"', lambda text: "x" * len(text[0]), line).find("#")) >= 0:
            yield line[start:]


@cache
def texts(path: Path) -> tuple[str, ...]:
    """Return all that a module or table has for its reader beside the code."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        return tuple(table_comments(source))
    return (*docstrings(tree(path)), *comments(source))


def plain(text: str) -> str:
    """Return a text without names in backticks and quoted words."""
    return LEFT_OUT.sub("", text)


def signs(text: str, octets_allowed: bool = False) -> list[str]:
    """Return the sign words of a text."""
    left = plain(text)
    return SIGNS.findall(OCTET.sub("", left) if octets_allowed else left)


def rooms() -> dict[str, list[Path]]:
    """Return the modules and tables of each room."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in (*MODULES, *sorted(SOURCE.rglob("*.toml"))):
        found[room_of(path)].append(path)
    return found


def room_signs(room: str) -> list[str]:
    """Return where a room has sign words: the file with the words."""
    allowed = room in OCTET_ROOMS
    return [
        f"{name_of(path)}: {', '.join(found)} in {' '.join(text.split())[:160]!r}"
        for path in rooms()[room]
        for text in texts(path)
        if (found := signs(text, allowed))
    ]


def semicolons(modules: Iterable[ast.Module]) -> float:
    """Return the number of semicolons that a docstring has on average."""
    written = [plain(text) for module in modules for text in docstrings(module)]
    return sum(text.count(";") for text in written) / max(len(written), 1)


def room_semicolons(room: str) -> float:
    return semicolons(tree(path) for path in rooms()[room] if path.suffix == ".py")


def documents() -> list[Path]:
    """Return the Markdown files that the repository and the package bring."""
    named = [repository("README.md"), repository("deploy", "README.md")]
    return named + [
        path for folder in ("topics", "docs") for path in sorted(repository(folder).rglob("*.md"))
    ]


def document_name(path: Path) -> str:
    return path.relative_to(repository()).as_posix()


def document_signs(text: str) -> list[str]:
    """Return the sign words of a document outside code blocks."""
    return signs(FENCE.sub("", text))


def test_there_is_something_to_read() -> None:
    """Guards all that follows: empty lists would pass everything."""
    assert len(rooms()) > 30
    assert sum(len(texts(path)) for path in MODULES) > 2000
    assert any(texts(path) for path in SOURCE.rglob("*.toml"))
    assert len(documents()) > 10


@pytest.mark.parametrize("room", sorted(set(rooms()) - set(NOT_YET)))
def test_a_room_is_described_in_plain_words(room: str) -> None:
    assert not room_signs(room), "write another sentence"


@pytest.mark.parametrize("room", sorted(set(rooms()) - set(NOT_YET)))
def test_a_sentence_has_one_idea(room: str) -> None:
    """Semicolons join sentences: a docstring has hardly any."""
    assert room_semicolons(room) <= SEMICOLONS, "split the sentences"


@pytest.mark.parametrize(
    "path",
    [path for path in documents() if document_name(path) not in DOCUMENTS_NOT_YET],
    ids=document_name,
)
def test_a_document_is_in_plain_words(path: Path) -> None:
    found = document_signs(path.read_text(encoding="utf-8"))
    assert not found, f"{document_name(path)}: write another sentence"


def test_a_cited_rule_stands_in_the_contract() -> None:
    """``CONTRACT 5`` is a section of docs/contract.md, and ``law 3`` one of its laws."""
    contract = repository("docs", "contract.md").read_text(encoding="utf-8")
    known = {
        "CONTRACT": set(re.findall(r"^## ([0-9]+)\.", contract, re.MULTILINE)),
        "law": set(re.findall(r"^([0-9]+)\. \*\*", contract, re.MULTILINE)),
    }
    cited = {
        (kind.removesuffix("s"), number)
        for path in (*MODULES, *SOURCE.rglob("*.toml"), *documents())
        for kind, number in CITED.findall(path.read_text(encoding="utf-8"))
    }
    assert {kind for kind, _ in cited} == set(known)
    assert not [one for one in cited if one[1] not in known[one[0]]]


def values_depend(targets: list[ast.expr], values: list[ast.expr]) -> bool:
    """Return whether a value reads the target of another place, as in a swap."""
    places = [ast.unparse(target) for target in targets]
    for place, value in enumerate(values):
        read = {ast.unparse(node) for node in ast.walk(value) if isinstance(node, ast.expr)}
        if any(target in read for other, target in enumerate(places) if other != place):
            return True
    return False


def pairs(module: ast.Module) -> Iterator[str]:
    """Yield assignments that set several names to values of their own: ``a, b = 1, 2``."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple | ast.List):
            continue
        for target in node.targets:
            if (
                isinstance(target, ast.Tuple | ast.List)
                and not any(isinstance(one, ast.Starred) for one in target.elts)
                and not values_depend(target.elts, node.value.elts)
            ):
                yield ast.unparse(target)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_an_assignment_sets_one_name(path: Path) -> None:
    """A reader sees each value beside its name. Swaps keep their form."""
    wrong = [names for names in pairs(tree(path)) if (name_of(path), names) not in TWO_NAMES]
    assert not wrong, f"{name_of(path)}: a line each"


@cache
def module_names() -> frozenset[str]:
    return frozenset(map(module_name, MODULES))


@cache
def files() -> frozenset[str]:
    """Return the files and folders of the repository and their ends: ``b/c.py`` of ``a/b/c.py``."""
    found = set()
    for folder in ("src", "tests", "topics", "deploy", "docs", "benchmarks"):
        for path in (repository(folder), *repository(folder).rglob("*")):
            parts = path.relative_to(repository()).parts
            found |= {"/".join(parts[start:]) for start in range(len(parts))}
    return frozenset(found)


def is_module(name: str) -> bool:
    """Return whether a dotted name is a module of the package, or something in one."""
    if name in module_names():
        return True
    home, _, last = name.rpartition(".")
    sources = (path.read_text(encoding="utf-8") for path in MODULES if module_name(path) == home)
    return any(re.search(rf"\b{last}\b", source) for source in sources)


def missing(text: str) -> Iterator[str]:
    """Yield the files, folders and modules that a text names and that do not exist."""
    for name in (*FILE.findall(text), *PATH.findall(text)):
        if not {name, f"{name}.py", f"{name}.toml"} & files():
            yield name
    yield from (name for name in DOTTED.findall(text) if not is_module(name))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_a_text_names_is_there(path: Path) -> None:
    """A file that was renamed is renamed in texts too."""
    wrong = {name for text in texts(path) for name in missing(text)} - set(ELSEWHERE)
    assert not wrong, f"{name_of(path)} names what is not there"


def test_no_exception_outlives_its_need() -> None:
    """The lists can only shrink."""
    still = {room for room in rooms() if room_signs(room) or room_semicolons(room) > SEMICOLONS}
    unread = {
        document_name(path)
        for path in documents()
        if document_signs(path.read_text(encoding="utf-8"))
    }
    two = {(name_of(path), names) for path in MODULES for names in pairs(tree(path))}
    absent = {name for path in MODULES for text in texts(path) for name in missing(text)}
    for exceptions, needed in (
        (NOT_YET, still),
        (DOCUMENTS_NOT_YET, unread),
        (TWO_NAMES, two),
        (ELSEWHERE, absent),
    ):
        gone = sorted(set(exceptions) - set(needed))
        assert not gone, f"not needed any more: {gone}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""What was told."""', ["told"]),
        ('def f():\n    """It stands\n    here."""', ["stands"]),
        ("x = 1  # Nobody knows", ["Nobody"]),
        ("# a list\n# begun anew\nx = 1", ["anew"]),
        ('class A:\n    x: int\n    """The octet."""', ["octet"]),
        ('x = "said"', []),
        ('"""The field ``told``, `said` and "anew"."""', []),
        ('"""Standards, retold."""', []),
    ],
)
def test_the_check_sees_words(source: str, found: list[str], tmp_path: Path) -> None:
    """The check itself: each place of a text is read, and names are left out."""
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert [sign for text in texts(path) for sign in signs(text)] == found


def test_the_check_sees_tables_and_documents(tmp_path: Path) -> None:
    """A table's values and a document's code blocks are left out."""
    path = tmp_path / "table.toml"
    path.write_text('# told\na = "said # anew"  # stands\n', encoding="utf-8")
    assert [sign for text in texts(path) for sign in signs(text)] == ["told", "stands"]
    assert document_signs("Whoever `said`\n\n```\ntold\n```\n\nso\n") == ["Whoever"]
    assert signs("two octets, told", octets_allowed=True) == ["told"]


def test_the_check_sees_semicolons() -> None:
    assert semicolons([ast.parse('"""A; b."""\ndef f():\n    """C: ``;``."""')]) == 0.5


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("a, b = 1, 2", ["(a, b)"]),
        ("x.a, x.b = (min(x.a, c), max(x.b, c))", ["(x.a, x.b)"]),
        ("a, b = b, a", []),
        ("a, b = b, a + b", []),
        ("a, b = f()", []),
        ("a, *b = 1, 2", []),
        ("a = 1, 2", []),
    ],
)
def test_the_check_sees_two_names(source: str, found: list[str]) -> None:
    assert list(pairs(ast.parse(source))) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see ``laws/test_words.py`` and test_words.py", []),
        ("see ``no_such_file.py``", ["no_such_file.py"]),
        ("see app/kafka and records/frames", []),
        ("see app/no_such_room", ["app/no_such_room"]),
        ("``rpm_stream.records`` has rpm_stream.records.frames.Frame", []),
        ("rpm_stream.no_such_room.x", ["rpm_stream.no_such_room.x"]),
        ("topics are *.py", []),
    ],
)
def test_the_check_sees_what_is_not_there(text: str, found: list[str]) -> None:
    assert list(missing(text)) == found

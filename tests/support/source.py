"""The package's source, parsed, for the tests of architecture, names and labels."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from support.paths import repository

SOURCE = repository("src", "rpm_stream")
MODULES = sorted(SOURCE.rglob("*.py"))
METRIC_CLASSES = frozenset({"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"})


def exceptions(by_file: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], str]:
    """Return the reason of each (file, text) that a table has by file and then by text."""
    return {
        (file, text): reason for file, found in by_file.items() for text, reason in found.items()
    }


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def unit_of(path: Path) -> str:
    """Return the unit that a file belongs to: a package or a single module below the root."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Return the dotted names of everything that a module imports, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{name_of(path)}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_name(path: Path) -> str:
    """Return ``rpm_stream.app.cli.main`` for ``app/cli/main.py``, a package for ``__init__.py``."""
    parts = ["rpm_stream", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _statements(node: ast.AST, inside: bool) -> Iterator[ast.AST]:
    """Yield the statements of a module that run when it is loaded.

    With ``inside`` also those in its functions. What only a type checker reads is left out.
    """
    for child in ast.iter_child_nodes(node):
        typing_only = isinstance(child, ast.If) and dotted(child.test, {}) == "TYPE_CHECKING"
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if typing_only or (function and not inside):
            continue
        yield child
        yield from _statements(child, inside)


def import_graph(inside: bool) -> dict[str, set[str]]:
    """Return each module of the package with the modules that it imports.

    With ``inside`` imports inside functions count too.
    """
    known = {module_name(path) for path in MODULES} - {"rpm_stream"}
    found: dict[str, set[str]] = {name: set() for name in known}
    for path in MODULES:
        for node in _statements(tree(path), inside):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for target in targets:
                module = target if target in known else target.rpartition(".")[0]
                if module in known and module != module_name(path):
                    found.setdefault(module_name(path), set()).add(module)
    return found


def aliases(path: Path) -> dict[str, str]:
    """Return what each local name means.

    After ``from datetime import datetime as dt`` the name ``dt`` means ``datetime.datetime``.
    """
    found: dict[str, str] = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {
                alias.asname or alias.name.split(".")[0]: alias.name
                for alias in node.names
                if alias.asname
            }
        elif isinstance(node, ast.ImportFrom):
            found |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    return found


def dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value, known)) is not None:
        return f"{base}.{node.attr}"
    return None


def metric_calls(path: Path) -> Iterator[ast.Call]:
    """Return every call that makes a metric."""
    known = aliases(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            module, _, name = (dotted(node.func, known) or "").rpartition(".")
            if module.split(".")[0] == "prometheus_client" and name in METRIC_CLASSES:
                yield node

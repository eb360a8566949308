"""Every exception of the package has one root.

The tree at the top of rpm_stream/errors.py is the real one.
"""

from __future__ import annotations

import ast
import builtins
import re

from support.source import MODULES, name_of, tree

from rpm_stream import errors

ROOT = "RpmStreamError"
# Exceptions with another root, each with its reason.
OUTSIDE: dict[str, str] = {}
ENTRY = re.compile(r"^( *)[*x+] (\w+)(?: +(?:\((\w+)\) )?.*?(?: {2,}(\S+\.py))?)?$", re.MULTILINE)

Found = tuple[str, str]  # the file and the name of a class


def classes() -> dict[Found, tuple[str, ...]]:
    """Yield each class of the package, with the names of its bases."""
    return {
        (name_of(path), node.name): tuple(ast.unparse(base) for base in node.bases)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    }


def is_builtin_error(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def exceptions() -> dict[Found, tuple[str, ...]]:
    """Return the classes that are exceptions, by their bases.

    A base is a builtin exception or an exception of the package.
    """
    known = classes()
    found: dict[Found, tuple[str, ...]] = {}
    while True:
        names = {name for _, name in found}
        more = {
            key: bases
            for key, bases in known.items()
            if key not in found and any(is_builtin_error(base) or base in names for base in bases)
        }
        if not more:
            return found
        found |= more


def test_every_exception_has_the_one_root() -> None:
    """A caller who catches the root catches all that the package raises."""
    found = exceptions()
    assert len(found) > 20
    names = {name for _, name in found}
    wrong = sorted(
        key
        for key, bases in found.items()
        if key[1] not in {ROOT, *OUTSIDE} and not (set(bases) & names)
    )
    assert not wrong, f"derive from {ROOT}, or list with a reason: {wrong}"
    assert set(OUTSIDE) <= names, "listed, and not there any more"


def test_the_tree_is_the_real_one() -> None:
    """A reader of the tree sees each exception under its base and in its file."""
    lines = list(ENTRY.findall(errors.__doc__ or ""))
    told: set[tuple[str, str, str]] = set()  # name, base, builtin beside it
    places: set[tuple[str, str]] = set()
    above: list[tuple[int, str]] = []
    file = ""
    for indent, name, builtin, place in lines:
        above = [each for each in above if each[0] < len(indent)]
        file = place or file
        if above:
            told.add((name, above[-1][1], builtin))
            places.add((name, file))
        above.append((len(indent), name))
    found = {key: bases for key, bases in exceptions().items() if key[1] not in {ROOT, *OUTSIDE}}
    assert told == {
        (name, bases[0], bases[1] if len(bases) > 1 else "") for (_, name), bases in found.items()
    }
    assert places == {(name, path) for path, name in found}

"""Every status flag that a decoder can give stands in the knowledge once: never judged, ask for a
repeat, or informs.

Flags are found from three sides: the decoders' own tables of bits, the places in the source where a
flag is added, and what comes out of real and random payloads. A new flag fails here until somebody
has decided what judging does with it.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support.source import MODULES, name_of, tree, unit_of

from rpm_stream.ingest.gatt.decoders import DECODERS, DecodeError, decode
from rpm_stream.ingest.gatt.notes import numbered
from rpm_stream.knowledge import KnowledgeError, load, shipped

PARTS = ("ahead", "ingest", "normalise", "pipeline")  # who may give a reading a flag
# tables of what a device can do or has sent: attributes of a payload
NO_FLAGS = {"FEATURES", "FIELDS"}
NAMES_OF_FLAGS = {
    "CLOCK_AHEAD",
    "IGNORED",
    "REFUSED",
    "FLAG_OF_MEASUREMENT",
    "FLAG_OF_STATUS",
    "_PULSE_RANGES",
    "UNSURE",
    "PRELIMINARY",
    "CLOCK_SKEW",
    "PLACEHOLDER",
    "ADOPTED",
}
WORD = frozenset("abcdefghijklmnopqrstuvwxyz_0123456789")
# Each flag of gatt.md 3 and 4 with what judging does; the source of this table is the reference,
# not the code.
REFERENCE = {
    "never_judged": (
        "demo test calibration unavailable invalid session_stopped control_solution intermediate "
        "sample_insufficient strip_insertion_error strip_type_incorrect read_interrupted"
    ),
    "ask_repeat": (
        "questionable early_estimate poor_signal inadequate_signal low_perfusion erratic"
        " non_pulsatile questionable_pulse interference signal_processing_irregularity"
        " equipment_malfunction sensor_malfunction sensor_displaced sensor_unconnected"
        " sensor_disconnected body_movement cuff_too_loose improper_position device_fault"
        " calibration_required"
    ),
    "informs": (
        "ongoing validated fully_qualified from_storage irregular_pulse pulse_range_above"
        " pulse_range_below battery_low temp_too_high temp_too_low result_too_high result_too_low"
        " time_fault below_hypo above_hyper clock_not_set not_current_timeline user_unknown"
        " no_contact rfu threshold_error thresholding_disabled"
    ),
}


def words(node: ast.AST) -> Iterator[str]:
    """String constants that may be flags: lower-case words, wherever in the expression but in
    what it asks.
    """
    if isinstance(node, ast.IfExp):
        yield from words(node.body)
        yield from words(node.orelse)
        return
    for each in ast.walk(node):
        if (
            isinstance(each, ast.Constant)
            and isinstance(each.value, str)
            and each.value
            and set(each.value) <= WORD
        ):
            yield each.value


def is_flags(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "flags") or (
        isinstance(node, ast.Attribute) and node.attr == "flags"
    )


def in_table(node: ast.expr) -> Iterator[str]:
    """Names in a table of bits: a dict, text for ``numbered``, or any other expression."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "numbered"
    ):
        yield from numbered(ast.literal_eval(node.args[0])).values()
        return
    values = node.values if isinstance(node, ast.Dict) else [node]
    yield from (word for value in values for word in words(value))


def given(path: Path) -> Iterator[str]:
    """Flags that a module gives: rows of its tables of bits, and what it adds to ``flags``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            name = target.id if isinstance(target, ast.Name) else ""
            annotation = getattr(node, "annotation", None)
            is_bits = isinstance(annotation, ast.Name) and annotation.id == "Bits"
            if (is_bits and name not in NO_FLAGS) or name in NAMES_OF_FLAGS:
                yield from in_table(node.value)
            elif is_flags(target) and isinstance(node.value, ast.Tuple | ast.IfExp | ast.BinOp):
                yield from words(node.value)
        elif isinstance(node, ast.Call):
            if (
                isinstance(node.func, ast.Attribute)
                and node.func.attr == "append"
                and is_flags(node.func.value)
            ):
                yield from words(ast.List(elts=list(node.args), ctx=ast.Load()))
            yield from (
                word
                for keyword in node.keywords
                if keyword.arg == "flags"
                and isinstance(keyword.value, ast.Tuple | ast.IfExp | ast.BinOp)
                for word in words(keyword.value)
            )


def of_source() -> set[str]:
    return {flag for path in MODULES if unit_of(path) in PARTS for flag in given(path)}


def of_models() -> set[str]:
    return {each.flag for model in shipped().devices.values() for each in model.placeholders}


@cache
def of_payloads() -> set[str]:
    """What 60,000 random payloads give: headers that ask for every field, and random octets
    after them.
    """
    chance, found = random.Random(7), set()
    for characteristic in DECODERS:
        for _ in range(2_400):
            octets = chance.randbytes(chance.choice((3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 19)))
            if characteristic == "2AA7":
                octets = bytes([len(octets)]) + octets[1:]
            try:
                payload = decode(characteristic, octets)
            except DecodeError:
                continue
            found |= {flag for reading in payload.readings for flag in reading.flags}
    return found


def rows() -> dict[str, frozenset[str]]:
    signal = shipped().signal
    return {
        "never_judged": signal.never_judged,
        "ask_repeat": signal.ask_repeat,
        "informs": signal.informs,
    }


def test_every_flag_that_can_be_given_has_exactly_one_row() -> None:
    known = [flag for flags in rows().values() for flag in flags]
    assert len(known) == len(set(known))
    found = of_source() | of_models() | of_payloads()
    assert sorted(found - set(known)) == [], (
        "signal.toml does not say what judging does with these flags"
    )


def test_every_row_is_about_a_flag_that_can_be_given() -> None:
    known = {flag for flags in rows().values() for flag in flags}
    assert sorted(known - of_source() - of_models() - of_payloads()) == []


def test_the_flags_are_found_from_each_side() -> None:
    """Guards the two above: a search that finds nothing would pass."""
    assert {
        "no_contact",
        "poor_signal",
        "below_hypo",
        "clock_ahead",
        "refused",
        "questionable",
    } <= of_source()
    assert {"no_finger"} <= of_models()
    assert len(of_payloads()) > 45
    assert any(
        name_of(path) == "ingest/gatt/cgm.py" and "session_stopped" in set(given(path))
        for path in MODULES
    )


@pytest.mark.parametrize("row", sorted(REFERENCE))
def test_the_rows_are_those_of_the_reference(row: str) -> None:
    assert set(REFERENCE[row].split()) <= rows()[row]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('said_beside = ["demo"]\n', "demo is not in informs"),
        ('never_judged = ["demo"]\n', "a refused value is a reject"),
        ('ask_repeat = ["demo"]\n', "demo is in never_judged and in ask_repeat"),
        (
            '[motion]\nvitals = ["mood"]\ncadence = "60"\nspeed = "1"\nseconds = 1\nsource = "?"\n',
            "unknown vital mood",
        ),
        ("[usual]\nkept = 7\nleast = 3\n", "source"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "signal.toml").write_text(text)
    with pytest.raises(KnowledgeError, match=why):
        load(tmp_path)

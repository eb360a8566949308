"""What senders repeat, after public bug reports of device gateways: the cases of ``../shared/data/cases/devices``.

Each line of ``cases.jsonl`` has frames, registry entries and what is expected. Without that file every case is skipped
by its name.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from replaying import Output, decoded, last_alerts, new_replay, of_type

SHARED = Path(os.environ.get("RPM_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CASES = SHARED / "data" / "cases" / "devices" / "cases.jsonl"
KINDS = (
    "doubled-resource", "doubled-resource-control", "resent-clock", "resent-clock-control", "same-id-same-number",
    "same-instant-control", "same-instant-repeat", "three-in-a-row", "zone-change-resend",
)  # fmt: skip
RANK = {None: 0, "low": 1, "medium": 2, "high": 3}
Case: TypeAlias = dict[str, Any]


def cases() -> list[Case]:
    if not CASES.exists():
        return []
    found = (msgspec.json.decode(line) for line in CASES.read_bytes().splitlines())
    return [case for case in found if case["kind"] in KINDS]


def output_of(case: Case) -> Output:
    run, output = new_replay(case["input"]["registry"]), list[Any]()
    for number, each in enumerate(case["input"]["frames"], 1):
        output += run.jsonl(each.encode() if isinstance(each, str) else msgspec.json.encode(each), number)
    return decoded([*output, *run.finish(None)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_case(kind: str) -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES} is not there")
    assert any(case["kind"] == kind for case in cases())


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_what_a_sender_repeats_is_no_further_reading(case: Case) -> None:
    """The readings by vital and value (and time), the rejects by reason, and how high an alert rose."""
    expected, output = case["expect"], output_of(case)
    assert expected.keys() <= {"readings", "rejects", "max_priority", "min_priority"}
    readings = of_type(output, "reading")
    wanted = Counter(tuple(each) for each in expected.get("readings", ()))
    width = len(next(iter(wanted), ()))
    if "readings" in expected:
        found = [(each["vital"], each["value"], each["measured_at"])[:width] for each in readings]
        assert Counter(found) == wanted
    if "rejects" in expected:
        assert Counter(each["reason"] for each in of_type(output, "reject")) == Counter(expected["rejects"])
    highest = max((RANK[alert["priority"]] for alert in last_alerts(output).values()), default=0)
    assert RANK[expected.get("min_priority")] <= highest
    assert highest <= RANK[expected.get("max_priority", "high")]

"""``rpm-stream rejects``: what an operator sees of a reject, and which are meant."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest
from support.frames import START
from support.rejects import reject_of

from rpm_stream.app.operate.rejects import MENDS, Listed, Selection, listed, shown
from rpm_stream.records import Position, Reason, Reject

REJECT = reject_of(
    START,
    reason="unassigned",
    stage="normalise",
    detail="nobody's",
    original=b64encode(b'{"characteristic":"2A37","payload":"0048"}').decode(),
    sha256="0",
    position=Position(topic="rpm.frames", partition=0, offset=7),
)


def with_original(octets: bytes) -> Reject:
    return msgspec.structs.replace(REJECT, original=b64encode(octets).decode())


def test_every_reason_says_what_could_be_mended() -> None:
    assert set(MENDS) == set(get_args(Reason))


@pytest.mark.parametrize(
    ("octets", "text", "hexadecimal"),
    [
        (b'{"characteristic":"2A37","payload":"0048"}', True, "0048"),
        (b'{"payload":"no hexadecimal"}', True, b'{"payload":"no hexadecimal"}'.hex()),
        (b'{"payload":7}', True, b'{"payload":7}'.hex()),
        (b"[1]", True, b"[1]".hex()),
        (b"\xff\x00", False, "ff00"),
        (b"", True, ""),
    ],
)
def test_what_was_refused_is_shown_as_text_and_octets(
    octets: bytes, text: bool, hexadecimal: str
) -> None:
    found = shown(with_original(octets))
    assert found.text == (octets.decode() if text else None)
    assert (found.hexadecimal, found.whole, found.mend) == (hexadecimal, True, MENDS["unassigned"])


def test_a_list_holds_nothing_that_was_refused() -> None:
    """It may be about a patient; the list goes to terminals and tickets."""
    assert set(Listed.__struct_fields__).isdisjoint({"original", "sha256"})
    assert listed(REJECT).position == REJECT.position


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({}, True),
        ({"reason": "unassigned"}, True),
        ({"reason": "truncated"}, False),
        ({"device": "d"}, True),
        ({"device": "e"}, False),
        ({"since": START}, True),
        ({"since": START + timedelta(seconds=1)}, False),
        ({"ids": frozenset({"one", "two"})}, True),
        ({"ids": frozenset({"two"})}, False),
        ({"device": "d", "reason": "truncated"}, False),
    ],
)
def test_a_selection_restricts_by_all_that_it_names(fields: dict[str, Any], taken: bool) -> None:
    assert Selection(**fields).takes(REJECT) is taken


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rejects", "redrive"], "choose rejects by --reason, --device, --since, --id, or --all"),
        (["rejects", "list", "--reason", "odd"], "--reason: 'odd' is not one of truncated"),
        (["rejects", "list", "--since", "noon"], "--since: 'noon' is not an RFC 3339 time"),
        (["reconcile", "--every", "often"], "--every: 'often' is not a length of time"),
        (["reconcile", "--every", "5m", "--table"], "--every keeps books of its own"),
        (["replay", "--compare"], "--from, --compare, --publish and --bootstrap need --from-kafka"),
        (["replay", "--from-kafka", "x.csv"], "--from-kafka takes no files"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert said in ran.stderr

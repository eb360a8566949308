"""The envelope of a state: whose it is, and that it is whole."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.score.detectors.codec import RIVERS, Stamp, StateError, river_version, seal, unseal
from rpm_stream.score.detectors.half_space_trees import forest

STAMP = Stamp(detector="some", version="1", settings="a b")


@given(payload=st.binary(max_size=300))
def test_what_is_sealed_is_unsealed(payload: bytes) -> None:
    """Exactly, for its own stamp."""
    assert unseal(STAMP, seal(STAMP, payload), len(payload)) == payload


@pytest.mark.parametrize(
    ("other", "size", "reason"),
    [
        (Stamp(detector="some", version="2", settings="a b"), 3, "version"),
        (Stamp(detector="other", version="1", settings="a b"), 3, "detector"),
        (Stamp(detector="some", version="1", settings="a c"), 3, "settings"),
        (STAMP, 4, "size"),
    ],
)
def test_another_stamp_is_refused_by_its_reason(other: Stamp, size: int, reason: str) -> None:
    """The operator must see why every detector of a worker starts again."""
    with pytest.raises(StateError, match=reason):
        unseal(other, seal(STAMP, b"abc"), size)


def test_another_river_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 8: another River may build other trees, and the masses would sit in the wrong
    nodes.
    """
    sealed = seal(STAMP, b"abc")
    monkeypatch.setattr("rpm_stream.score.detectors.codec.river_version", "0.0.0")
    with pytest.raises(StateError, match="River"):
        unseal(STAMP, sealed, 3)


def test_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONTRACT 8, the other version."""
    sealed = seal(STAMP, b"abc")
    monkeypatch.setattr("rpm_stream.score.detectors.codec.LAYOUT", 3)
    with pytest.raises(StateError, match="layout"):
        unseal(STAMP, sealed, 3)


def test_the_trees_of_the_rivers_that_are_read() -> None:
    """What a version of River must build to stand in ``RIVERS``: a mass counts for the node that
    it was learned at.
    """
    assert river_version in RIVERS
    assert (
        f"{crc32(repr([forest(features) for features in range(2, 8)]).encode()):08x}" == "842c4b87"
    )


def test_the_first_layout_is_still_read() -> None:
    """Written by the releases before the common envelope: what was learned stays, whole or not
    at all.
    """
    label = f"some/1 river/{river_version}".encode()
    body = struct.pack(">BB", 1, len(label)) + label + struct.pack(">I", crc32(b"a b")) + b"abc"
    old = body + struct.pack(">I", crc32(body))
    assert unseal(STAMP, old, 3) == b"abc"
    for at in range(len(old)):
        with pytest.raises(StateError):
            unseal(STAMP, old[:at] + bytes((old[at] ^ 0x11,)) + old[at + 1 :], 3)
    for length in range(len(old)):
        with pytest.raises(StateError):
            unseal(STAMP, old[:length], 3)

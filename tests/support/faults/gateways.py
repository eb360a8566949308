"""Changes to the order and the clock of uplinks, and what must hold in spite of them (CONTRACT 4
b).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from support.kafka.against_replay import Wanted


def twice(frames: list[bytes], chance: random.Random) -> list[bytes]:
    """Send a third of the uplinks a second time, a little later."""
    return _held_back([*frames], chance, lambda: chance.random() < 1 / 3, keep=True)


def reordered(frames: list[bytes], chance: random.Random) -> list[bytes]:
    """Send a third of the uplinks after up to twenty others."""
    return _held_back(frames, chance, lambda: chance.random() < 1 / 3, keep=False)


def _held_back(
    frames: list[bytes], chance: random.Random, held: Callable[[], bool], keep: bool
) -> list[bytes]:
    places: list[tuple[float, int, bytes]] = []
    for place, frame in enumerate(frames):
        again = held()
        if keep or not again:
            places.append((place, 0, frame))
        if again:
            places.append((place + chance.uniform(1, 20), 1, frame))
    return [frame for _, _, frame in sorted(places, key=lambda one: one[:2])]


def an_hour_off(frames: list[bytes], chance: random.Random) -> list[bytes]:
    """Set the gateway clocks of a third of the devices an hour fast or slow."""
    return _off(frames, chance, [1, -1])


def a_day_off(frames: list[bytes], chance: random.Random) -> list[bytes]:
    """Set the gateway clocks of a third of the devices a day fast or slow.

    The broker still receives all in time.
    """
    off = _off(frames, chance, [24, -24])
    received = [json.loads(frame)["sent_at"] for frame in frames]
    return [
        json.dumps(json.loads(frame) | {"received_at": at}).encode()
        for frame, at in zip(off, received, strict=True)
    ]


def _off(frames: list[bytes], chance: random.Random, hours_off: list[int]) -> list[bytes]:
    shift: dict[str, timedelta] = {}
    out = []
    for frame in frames:
        body = json.loads(frame)
        hours = shift.setdefault(
            body["device"], timedelta(hours=chance.choice([0, 0, 0, 0, *hours_off]))
        )
        if hours:
            for entry in [*(body.get("notifications") or ()), *(body.get("measurements") or ())]:
                entry["at"] = (datetime.fromisoformat(entry["at"]) + hours).isoformat()
            body["sent_at"] = (datetime.fromisoformat(body["sent_at"]) + hours).isoformat()
        out.append(json.dumps(body).encode())
    return out


def highs(wanted: Wanted) -> set[tuple[str, str]]:
    """Return which patients have a high alert, and in which group."""
    return {
        (one["patient"], one["group"])
        for one in wanted["alert"].values()
        if one["priority"] == "high"
    }


def same_whatever_the_order(plain: Wanted, mangled: Wanted) -> None:
    """CONTRACT 4 (b): the readings and rejects are the same.

    No alert that is high in order is missed.
    """
    assert plain["reading"].keys() == mangled["reading"].keys()
    assert plain.get("reject", {}).keys() == mangled.get("reject", {}).keys()
    assert highs(plain) <= highs(mangled)


def same_but_for_the_clock(plain: Wanted, mangled: Wanted) -> None:
    """A gateway clock that is an hour off moves readings, but loses none and hides no patient.

    A reading that moves out of the time for which the device is assigned is refused for that, and
    kept.
    """
    _moved(plain, mangled, {"unassigned"})


def same_but_for_a_day(plain: Wanted, mangled: Wanted) -> None:
    """A gateway clock that is a day off changes the readings of its own devices only.

    A day behind, readings are of yesterday and judged. A day ahead, each is refused by name
    (CONTRACT 10) and kept.
    """
    _moved(plain, mangled, {"unassigned", "future_time"})
    assert any(one["reason"] == "future_time" for one in mangled["reject"].values())


def _parts(rejects: Iterable[dict[str, Any]]) -> int:
    """Count the values that rejects stand for. One reject may name several of its notification."""
    return sum(max(1, len(one.get("parts") or ())) for one in rejects)


def _moved(plain: Wanted, mangled: Wanted, reasons: set[str]) -> None:

    def kinds(wanted: Wanted) -> Counter[tuple[str, str, str | None]]:
        return Counter(
            (one["patient"], one["vital"], one["value"]) for one in wanted["reading"].values()
        )

    outside = [one for one in mangled.get("reject", {}).values() if one["reason"] in reasons]
    assert not kinds(mangled) - kinds(plain)
    refused = _parts(mangled.get("reject", {}).values()) - _parts(
        plain.get("reject", {}).values()
    )  # nothing that was there is missing
    assert (kinds(plain) - kinds(mangled)).total() == refused <= _parts(outside)
    kept = {
        (who, group)
        for who, group in highs(plain)
        if not any(one["device"].endswith(who) for one in outside)
    }
    assert kept <= highs(mangled)

"""Derive kind and key of members that an older release wrote with a name alone.

This is the one file that parses such a name. A state is read once, when its patient is first
needed. From then on it has kind and key.
"""

from __future__ import annotations

import msgspec

from rpm_stream.alert.episode import Episodes
from rpm_stream.publish.old_life import with_refusals
from rpm_stream.records import Direction, FindingKind, Key

TOGETHER = "half_space_trees"  # the one detector of several vitals, whose name was the whole member
LASTING = "drift"
# faults of a device that are found by comparing its values
OF_VALUES_SENT = frozenset({"unit", "step", "disagreement"})
# the same, for stored values that are sent again; the device reports other clock faults itself
RESENT = "resent."


def fill_in(episodes: Episodes) -> None:
    """Give each member with a name alone its kind and key, and each refusal its cause."""
    for episode in episodes.values():
        history = with_refusals(episode.alert.history)
        episode.alert = msgspec.structs.replace(episode.alert, history=history)
        for name, member in episode.members.items():
            if member.kind == "unknown":
                member.kind, member.key = kind_and_key(name, member.direction)


def kind_and_key(name: str, side: Direction | None) -> tuple[FindingKind, Key]:
    """Return kind and key for a member's name and the side of its limit.

    The kind is ``unknown`` for a name that no release has written.
    """
    head, _, rest = name.partition(":")
    match head:
        case "limit":
            return "limit", _limit(rest, side)
        case "detector":
            return _detector(rest)
        case "device":
            return _device(rest)
        case "rate":
            return "rate", Key(vital=rest)
        case "predicted":
            return "predicted", Key(vital=rest)
        case "silence":
            return "silence", Key(vital=rest)
        case "settings":
            return "setting", Key(what=rest)
        case "news2":
            return "news2", Key()
        case "not_judged":
            return "not_judged", Key()
        case _:
            return "unknown", Key(what=name)


def _limit(rest: str, side: Direction | None) -> Key:
    vital, _, name = rest.partition(":")
    return Key(vital=vital, side=side, what="" if name in ("low", "high") else name)


def _detector(rest: str) -> tuple[FindingKind, Key]:
    first, _, vital = rest.partition(":")
    if first == "trend":
        return "trend", Key(vital=vital)
    if first == LASTING:
        return "detector", Key(what=LASTING, vital=vital)
    return "detector", Key(what=TOGETHER) if rest == TOGETHER else Key(vital=rest)


def _device(rest: str) -> tuple[FindingKind, Key]:
    fault, _, shown = rest.partition(":")
    of, _, device = shown.partition(":")
    is_of_values_sent = fault in OF_VALUES_SENT or (fault == "clock" and of.startswith(RESENT))
    return "quality" if is_of_values_sent else "device", Key(what=fault, of=of, device=device)

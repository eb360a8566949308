"""The name of a member of an episode, made of its kind and key.

This is the only place that makes such names. A name is used to find a member in the state, and no
rule reads it: the ``kind`` and ``key`` of a member hold what it is. Old states have names alone,
which ``pipeline/old_members.py`` reads.
"""

from __future__ import annotations

from rpm_stream.records.in_house import FindingKind, Key

TREND = "trend"  # a trend's name has the prefix of the detectors, as in all states so far


def member_name(kind: FindingKind, key: Key) -> str:
    """Return the name under which an episode keeps what a rule of ``kind`` found about ``key``.

    >>> member_name("limit", Key(vital="pulse_rate", side="high"))
    'limit:pulse_rate:high'
    >>> member_name("device", Key(what="battery", of="any", device="d-1"))
    'device:battery:any:d-1'
    """
    match kind:
        case "limit":
            return f"limit:{key.vital}:{key.what or key.side}"
        case "detector":
            return detector_member(":".join(filter(None, (key.what, key.vital))))
        case "trend":
            return detector_member(f"{TREND}:{key.vital}")
        case "quality" | "device":
            return f"device:{key.what}:{key.of}:{key.device}"
        case "rate" | "predicted" | "silence":
            return f"{kind}:{key.vital}"
        case "setting":
            return f"settings:{key.what}"
        case _:
            return kind


def detector_member(what: str) -> str:
    """Return the name under which an episode keeps what a detector found.

    ``what`` is the vital, for the detector of several vitals its name, for a lasting change both.
    """
    return f"detector:{what}"

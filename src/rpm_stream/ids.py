"""Deterministic ids (UUID version 5, RFC 9562).

The same facts give the same id in every run and in every process.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1
from uuid import UUID

NAMESPACE = UUID("6b1f9f5e-2f0b-5c53-9d5e-3a1c6f0f7a11")
_SEED = NAMESPACE.bytes
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def utc_text(moment: datetime) -> str:
    """Return a moment as a part of an id, the same for every zone it is given in."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def deterministic_id(*parts: str) -> str:
    """Return the UUID version 5 of ``parts``.

    The unit separator keeps ("a", "bc") apart from ("ab", "c").
    """
    digest = sha1(
        _SEED + "\x1f".join(parts).encode("utf-8", "surrogatepass"), usedforsecurity=False
    ).hexdigest()
    fourth = _VARIANT[digest[16]] + digest[17:20]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{fourth}-{digest[20:32]}"


@lru_cache(maxsize=4096)
def fhir_id(text: str) -> str:
    """Return ``text`` if it is a FHIR id, else a UUID derived from it.

    In the second case the caller puts the original into ``identifier``.

    >>> fhir_id("p-17.a")
    'p-17.a'
    >>> fhir_id("p_17") == fhir_id("p_17") != fhir_id("p_18")
    True
    """
    return text if _FHIR_ID.fullmatch(text) else deterministic_id("fhir-id", text)

"""The name of the person at the page, typed once and kept in a cookie for a shift.

The token shows that a person may see the feed, not who it is. The cookie is a convenience and no
proof. Every dialogue shows the name that it will send, so that a person does not act under the name
of the colleague of the night before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote, unquote

WHO_COOKIE = "rpm_who"
KEPT_S = 12 * 3600  # a long shift
MOST = 128  # characters, as in records.Action


def who_of(cookies: Mapping[str, str]) -> str:
    """Return the name in the cookie, or "" where there is none."""
    return unquote(cookies.get(WHO_COOKIE, "")).strip()[:MOST]


def remember_script(who: str) -> str:
    """Return JavaScript that keeps the name in this browser."""
    cookie = (
        f"{WHO_COOKIE}={quote(who, safe='', errors='replace')}; path=/; max-age={KEPT_S};"
        " samesite=strict"
    )
    return (
        f"document.cookie = {json.dumps(cookie)} + (location.protocol === 'https:' ? '; secure'"
        " : '')"
    )

"""Who sits in front of the page: a name, typed once and kept in a cookie for a shift.

The token says that somebody may see the feed, not who it is. The cookie is a convenience and no
proof: every dialogue shows the name that it will send, so that nobody acts under the name of the
colleague of the night before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote, unquote

WHO_COOKIE = "rpm_who"
KEPT_S = 12 * 3600  # a long shift
MOST = 128  # characters, as in records.Action


def who_of(cookies: Mapping[str, str]) -> str:
    """The name in the cookie; empty where there is none."""
    return unquote(cookies.get(WHO_COOKIE, "")).strip()[:MOST]


def remember_script(who: str) -> str:
    """JavaScript that keeps the name in this browser."""
    cookie = (
        f"{WHO_COOKIE}={quote(who, safe='', errors='replace')}; path=/; max-age={KEPT_S};"
        " samesite=strict"
    )
    return (
        f"document.cookie = {json.dumps(cookie)} + (location.protocol === 'https:' ? '; secure'"
        " : '')"
    )

"""Limits how often a client may try tokens.

The owner of the right token is never kept out for long.

A value that cannot be guessed is always compared: a cookie, which is expensive to make (see
token.py), and a token of 80 random bits. A short token is compared seldom. A client with a few
wrong tokens waits before its next is compared, twice as long each time, up to some seconds. All
addresses together have a limit a second too. No token of a client is compared while it waits, so
the answer reveals nothing.

A client that had to wait and comes again with the same token has its turn before clients with a new
one. Such clients have a share of their own, so that a stream of new guesses, from the same address
or others, cannot take it from them. With a short token, an attacker who sends each guess again as
asked can take it, because the two then look the same. A token that this address has signed in with
before is always compared. The same wrong token again is no new guess, so an old tab does no harm.
"""

from __future__ import annotations

import hmac
import math
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Any, Literal, NamedTuple

import structlog
from prometheus_client import Counter

Way = Literal["login", "bearer", "cookie"]
WAYS: tuple[Way, ...] = ("login", "bearer", "cookie")

FREE = 3  # wrong tokens of an address before it waits, because people mistype
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 4.0
FORGET_S = 900.0  # after so long without a wrong one an address is forgotten
KNOWN_WRONG = 16  # wrong tokens of an address that are remembered
ADDRESSES = 10_000
SIGNED_IN = 4096
MOST_TURNS = 50_000  # tokens (as digests) that have a turn when they come again
NETWORK_BITS = 64  # of an IPv6 address: one subscriber has all addresses in it

WRONG = Counter(
    "rpm_feed_wrong_tokens", "Wrong tokens that were looked at, by how they were shown", ["way"]
)
LIMITED = Counter(
    "rpm_feed_limited_requests", "Requests that were told to wait: too many wrong tokens", ["way"]
)
for _way in WAYS:
    WRONG.labels(_way), LIMITED.labels(_way)

log = structlog.get_logger("rpm_stream.feed")


class TokenVerdict(NamedTuple):
    """Whether the token is right.

    With a ``wait`` it was not compared, and may be sent again after so many seconds.
    """

    right: bool
    wait: float = 0.0


class TokenBucket:
    """A token bucket: ``size`` at once, and then ``a_second`` a second."""

    def __init__(self, size: float, a_second: float) -> None:
        self._size = size
        self._a_second = a_second
        self._left = size
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take one, and return whether there was one."""
        self._left = min(self._size, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


NOTHING = TokenBucket(0, 0)


class _Address:
    """The wrong tokens of an address (as digests), and the time from which it may try again."""

    def __init__(self) -> None:
        self.failures = 0
        self.next_at = 0.0
        self.last_at = 0.0
        self.turned_away_at = -math.inf
        self.wrong: deque[bytes] = deque(maxlen=KNOWN_WRONG)


class Guesses:
    """Compares tokens, not too often.

    ``unguessable`` means that the token is. ``now`` returns seconds of a clock that never goes
    back.
    """

    def __init__(self, unguessable: bool = False, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._always: tuple[Way, ...] = WAYS if unguessable else ("cookie",)
        self._key = secrets.token_bytes(32)
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._signed_in: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._turns: OrderedDict[tuple[str, bytes], float] = OrderedDict()  # from when on
        self._first_tries = TokenBucket(100, 10)
        self._further_tries = TokenBucket(60, 1)
        self._returning = TokenBucket(20, 5)

    def look(self, client: str, value: str, way: Way, is_right: Callable[[], bool]) -> TokenVerdict:
        """Return the verdict on a ``value`` that ``client`` sent.

        ``is_right`` compares in constant time.
        """
        place = _counted(client, way)
        now = self._now()
        digest = self._digest(value, way)
        if (place, digest) in self._signed_in:
            self._signed_in.move_to_end((place, digest))
            return TokenVerdict(is_right())
        if way in self._always and is_right():
            return self._let_in(client, value, way)
        known = self._known(place, now)
        if known is not None and digest in known.wrong:
            return TokenVerdict(False)
        wait = self._wait(known, place, digest, now)
        if wait > 0:
            LIMITED.labels(way).inc()
            return TokenVerdict(False, wait)
        if is_right():
            return self._let_in(client, value, way)
        self._note(place, digest, now, way)
        return TokenVerdict(False)

    def _let_in(self, client: str, value: str, way: Way) -> TokenVerdict:
        self._addresses.pop(_counted(client, way), None)
        self.admit(client, value, way)
        return TokenVerdict(True)

    def admit(self, client: str, value: str, way: Way) -> None:
        """Always compare from now on the ``value`` that ``client`` was given for its token."""
        self._signed_in[(_counted(client, way), self._digest(value, way))] = None
        _bound(self._signed_in, SIGNED_IN)

    def _digest(self, value: str, way: Way) -> bytes:
        """Return the digest of a token and its way. A wrong bearer may be right as a cookie."""
        return hmac.digest(self._key, f"{way} {value}".encode(errors="surrogatepass"), "sha256")

    def _known(self, place: str, now: float) -> _Address | None:
        known = self._addresses.get(place)
        if known is not None and now - known.last_at > FORGET_S:
            del self._addresses[place]
            return None
        return known

    def _wait(self, known: _Address | None, place: str, digest: bytes, now: float) -> float:
        """Return the seconds until this token may come again, or 0 to compare it now."""
        turn = self._turns.get((place, digest))
        if turn is not None and now < turn:
            return turn - now
        next_at = known.next_at if known is not None else now
        if now >= next_at and self._share(known, turn is not None, now).take(now):
            self._turns.pop((place, digest), None)
            return 0.0
        wait = max(FIRST_WAIT_S, next_at - now)
        self._turns[(place, digest)] = now + wait
        self._turns.move_to_end((place, digest))
        _bound(self._turns, MOST_TURNS)
        if known is not None:
            known.turned_away_at = now
        return wait

    def _share(self, known: _Address | None, returning: bool, now: float) -> TokenBucket:
        """Return the share that the next comparison belongs to.

        A token that comes for the first time has none while others wait for their turn.
        """
        if returning:
            return self._returning
        if known is None:
            return self._first_tries
        others_wait = known.failures > FREE and now - known.turned_away_at < LONGEST_WAIT_S
        return NOTHING if others_wait else self._further_tries

    def _note(self, place: str, digest: bytes, now: float, way: Way) -> None:
        known = self._addresses.setdefault(place, _Address())
        self._addresses.move_to_end(place)
        _bound(self._addresses, ADDRESSES)
        known.failures += 1
        known.last_at = now
        known.wrong.append(digest)
        over = known.failures - FREE
        if over > 0:
            known.next_at = now + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(over - 1, 10))
        WRONG.labels(way).inc()
        if known.failures & (known.failures - 1) == 0:  # at 1, 2, 4, 8 … failures
            log.warning("feed.wrong_token", address=place, failures=known.failures, way=way)


def place_of(client: str) -> str:
    """Return the address that counts as one client: of IPv4 itself, of IPv6 its network."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> NETWORK_BITS << NETWORK_BITS)}/{NETWORK_BITS}"
    return str(address)


def _counted(client: str, way: Way) -> str:
    """Return the name under which wrong tokens are counted: the address, with cookies apart."""
    return f"{place_of(client)} cookies" if way == "cookie" else place_of(client)


def _bound(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)

"""Wrong tokens: guessing is slow, alone and together; the right token always comes through after
a short while.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import count
from time import process_time

import httpx
import pytest
from structlog.testing import capture_logs
from support.feed.page import Kept
from support.tables import rows

from rpm_stream.app.feed.api.v1 import Doors, create_app
from rpm_stream.app.feed.auth.bounds import BodyLimit
from rpm_stream.app.feed.auth.guesses import (
    ADDRESSES,
    FREE,
    LONGEST_WAIT_S,
    WRONG,
    Guesses,
    TokenVerdict,
    place_of,
)
from rpm_stream.app.feed.auth.token import (
    OPEN_PATHS,
    TokenGate,
    choose_token,
    cookie_value,
    unguessable,
)
from rpm_stream.app.runtime.settings import Settings

TOKEN = "right"
HOUR_S = 3600


class Door:
    """Guesses with a clock that a test moves, and how many tokens were compared."""

    def __init__(self, unguessable: bool = False) -> None:
        self.time = 1000.0
        self.guesses = Guesses(unguessable, lambda: self.time)
        self.compared = 0

    def show(self, client: str, value: str) -> TokenVerdict:
        def is_right() -> bool:
            self.compared += 1
            return value == TOKEN

        return self.guesses.look(client, value, "login", is_right)


def attack(door: Door, seconds: int, addresses: int, a_second: int = 20) -> None:
    """``a_second`` different guesses each second, from the addresses in turn."""
    for number in range(seconds * a_second):
        door.time += 1 / a_second
        door.show(
            f"10.{number % addresses // 65536}.{number % addresses // 256 % 256}.{number % 256}",
            f"g{number}",
        )


def test_one_address_has_few_guesses_an_hour() -> None:
    door = Door()
    for number in range(HOUR_S * 20):
        door.time += 1 / 20
        door.show("10.0.0.1", f"g{number}")
    assert door.compared <= HOUR_S / LONGEST_WAIT_S + FREE + 5


def test_many_addresses_together_have_few_guesses_a_second() -> None:
    """However many there are: each has a first try, and all of them together a bounded number a
    second.
    """
    door = Door()
    attack(door, 600, 250)
    assert door.compared <= 600 * (10 + 1) + 200


# --- the law: a right token gets in soon, whatever else is shown ----------------------------------


def new_address(number: int) -> str:
    return f"2001:db8:{number >> 16:x}:{number & 65535:x}::1"


ATTACKERS: dict[str, Callable[[int], str]] = {
    "behind the same address": lambda number: "10.0.0.1",
    "from a hundred addresses and the same one": lambda number: f"10.0.0.{number % 100}",
    "from ever new addresses": new_address,
}
SOON_S = 3 * LONGEST_WAIT_S


def seconds_until_in(door: Door, guess: Callable[[], None], a_second: int) -> float:
    """How long somebody at 10.0.0.1 needs who shows the right token, and again each time they
    were told to.
    """
    began = again = door.time
    while door.time - began < 60:
        guess()
        if door.time >= again:
            verdict = door.show("10.0.0.1", TOKEN)
            if verdict.right:
                return door.time - began
            again = door.time + math.ceil(verdict.wait)
        door.time += 1 / a_second
    return door.time - began


@pytest.mark.parametrize("mistyped", [0, 1, FREE, FREE + 2])
@pytest.mark.parametrize("a_second", [1, 20, 500])
@pytest.mark.parametrize("where", ATTACKERS)
def test_the_right_token_gets_in_soon_while_others_guess(
    where: str, a_second: int, mistyped: int
) -> None:
    door, numbers = Door(), count()

    def guess() -> None:
        number = next(numbers)
        door.show(ATTACKERS[where](number), f"g{number}")

    for number in range(mistyped):
        door.show("10.0.0.1", f"mistyped {number}")
    for _ in range(30 * a_second):
        guess()
        door.time += 1 / a_second
    assert seconds_until_in(door, guess, a_second) <= SOON_S


@pytest.mark.parametrize("where", ATTACKERS)
def test_one_that_cannot_be_guessed_gets_in_at_once_even_among_guesses_that_come_again(
    where: str,
) -> None:
    """Such a token needs no slowness: 80 bits and more, at any pace that the feed can answer."""
    door, numbers = Door(unguessable=True), count()

    def guess() -> None:
        number = next(numbers)
        for each in (number, number - 20, number - 100):
            door.show(ATTACKERS[where](each), f"g{each}")

    for _ in range(600):
        guess()
        door.time += 0.05
    assert seconds_until_in(door, guess, 20) == 0


def test_guesses_that_come_again_as_told_are_few_as_well() -> None:
    door = Door()
    again = [door.time] * 50
    while door.time < 1000 + HOUR_S:
        for number, at in enumerate(again):
            if door.time >= at:
                wait = door.show("10.0.0.1", f"g{number} {door.compared}").wait
                again[number] = door.time + wait
        door.time += 0.05
    assert door.compared <= HOUR_S / LONGEST_WAIT_S + FREE + 5


def test_guesses_that_come_again_from_everywhere_are_few_as_well() -> None:
    door = Door()
    for number in range(120 * 50):
        for each in range(number, max(number - 500, -1), -100):
            door.show(new_address(each), f"g{each}")
        door.time += 1 / 50
    assert door.compared <= 120 * (10 + 1 + 5) + 200


@pytest.mark.parametrize(
    ("token", "is_so"),
    [
        ("8f2c" * 4, False),
        ("a" * 40, False),
        ("abcabcabcabcabcabcabcabc", False),
        ("5b1f0c9e7a3d2846b1c0d9e8f7a6", True),
        ("mkR3_Vw8sZ-1bYqP0tXc9d", True),
    ],
)
def test_which_tokens_cannot_be_guessed(token: str, is_so: bool) -> None:
    assert unguessable(token) is is_so


def test_a_new_token_cannot_be_guessed() -> None:
    token, new = choose_token(Settings(token=None))
    assert new and unguessable(token)


def test_the_wait_grows_and_is_bounded() -> None:
    door = Door()
    waits = []
    for number in range(30):
        while wait := door.show("10.0.0.1", f"g{number}").wait:
            waits.append(wait)
            door.time += wait
    assert waits == sorted(waits)
    assert waits[0] <= 1 and waits[-1] == LONGEST_WAIT_S


def test_the_right_token_comes_through_after_the_wait() -> None:
    """From the very address that has guessed for an hour: it waits some seconds, never longer."""
    door = Door()
    for number in range(HOUR_S):
        door.time += 1
        door.show("10.0.0.1", f"g{number}")
    door.time += LONGEST_WAIT_S
    assert door.show("10.0.0.1", TOKEN).right


def test_another_address_signs_in_while_one_guesses() -> None:
    door = Door()
    attack(door, 600, 1)
    assert door.show("192.0.2.7", TOKEN).right


def test_another_address_signs_in_while_a_hundred_guess() -> None:
    """Those that were wrong before have a share of their own: they cannot use up that of an
    address that comes anew.
    """
    door = Door()
    attack(door, 600, 100)
    assert door.show("192.0.2.7", TOKEN).right


def test_an_open_page_goes_on_while_somebody_guesses_from_the_same_address() -> None:
    """Behind a proxy all have one address."""
    door = Door()
    assert door.show("10.0.0.1", TOKEN).right
    for number in range(1000):
        door.time += 0.05
        door.show("10.0.0.1", f"g{number}")
        assert door.show("10.0.0.1", TOKEN).right


def test_while_it_waits_the_right_token_is_not_looked_at_either() -> None:
    """Else the answer would say which guess was right, and waiting would slow nobody down."""
    door = Door()
    for number in range(FREE + 1):
        door.show("10.0.0.1", f"g{number}")
    before = door.compared
    verdict = door.show("10.0.0.1", TOKEN)
    assert (verdict.right, verdict.wait > 0, door.compared) == (False, True, before)


def test_an_old_tab_that_shows_the_same_wrong_token_keeps_nobody_waiting() -> None:
    door = Door()
    for _ in range(1000):
        assert door.show("10.0.0.1", "of before the token was changed") == TokenVerdict(False)
    assert door.compared == 1
    assert door.show("10.0.0.1", TOKEN).right


def test_an_address_that_has_been_quiet_begins_anew() -> None:
    door = Door()
    for number in range(FREE + 5):
        door.show("10.0.0.1", f"g{number}")
        door.time += LONGEST_WAIT_S
    door.time += HOUR_S
    assert [door.show("10.0.0.1", f"h{number}").wait for number in range(FREE)] == [0.0] * FREE


def test_what_is_remembered_is_bounded() -> None:
    door = Door()
    for number in range(ADDRESSES + 500):
        door.time += 1
        door.show(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", "wrong")
    assert len(door.guesses._addresses) == ADDRESSES


@pytest.mark.parametrize(
    ("client", "place"),
    rows("""
        192.0.2.7             192.0.2.7
        ::ffff:192.0.2.7      192.0.2.7
        2001:db8:1:2:3:4:5:6  2001:db8:1:2::/64
        2001:db8:1:2::9       2001:db8:1:2::/64
        unknown               unknown
    """),
)
def test_a_subscriber_is_one_address(client: str, place: str) -> None:
    assert place_of(client) == place


# --- over HTTP ------------------------------------------------------------------------------------


def answers(*requests: httpx.Request) -> list[httpx.Response]:
    """What the feed answers to these from one address, one after the other."""

    async def ask() -> list[httpx.Response]:
        guesses = Guesses()
        app = create_app(Kept().service, Doors(TOKEN, guesses), asyncio.Event())
        transport = httpx.ASGITransport(TokenGate(BodyLimit(app, OPEN_PATHS), TOKEN, guesses))
        async with httpx.AsyncClient(transport=transport) as client:
            return [await client.send(request) for request in requests]

    return asyncio.run(ask())


def login(token: str) -> httpx.Request:
    return httpx.Request("POST", "http://feed/login", data={"token": token})


def listing(**headers: str) -> httpx.Request:
    return httpx.Request("GET", "http://feed/api/alerts", headers=headers)


WAYS = {
    "login": login,
    "bearer": lambda value: listing(authorization=f"Bearer {value}"),
    "cookie": lambda value: listing(cookie=f"rpm_token={value}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_show_a_token_is_bounded_and_counted(way: str) -> None:
    before = WRONG.labels(way)._value.get()
    with capture_logs() as logs:
        found = answers(*(WAYS[way](f"guess-{number}") for number in range(FREE + 3)))
    assert [each.status_code for each in found] == [401] * (FREE + 1) + [429] * 2
    assert int(found[-1].headers["retry-after"]) >= 1
    assert "Try again in" in found[-1].text
    assert WRONG.labels(way)._value.get() - before == FREE + 1
    # the first, the second, the fourth
    assert [entry["event"] for entry in logs] == ["feed.wrong_token"] * 3
    assert not any("guess-" in repr(entry) for entry in logs)


def test_what_is_typed_shares_one_count() -> None:
    """Else two ways would be twice as many guesses."""
    guesses = [WAYS[way](f"guess-{number}") for number in range(3) for way in ("login", "bearer")]
    assert [each.status_code for each in answers(*guesses)][-1] == 429


def test_a_page_comes_back_while_somebody_types_wrong_tokens_behind_the_same_proxy() -> None:
    """After a restart the feed remembers nobody, and all have one address."""
    wrong = [
        WAYS[way](f"guess-{number}") for number in range(FREE + 3) for way in ("login", "cookie")
    ]
    found = answers(*wrong, WAYS["cookie"](cookie_value(TOKEN)))
    assert [each.status_code for each in found[-3:]] == [429, 429, 200]


def test_the_token_itself_in_a_cookie_opens_nothing() -> None:
    """Cookies are always looked at: one must be dear to make, else it is a guess that nothing
    slows down.
    """
    assert [each.status_code for each in answers(WAYS["cookie"](TOKEN))] == [401]


def test_a_cookie_is_dear_to_make() -> None:
    began = process_time()
    cookie_value(f"one that was not asked for before {began}")
    assert process_time() - began > 0.02


def test_what_is_wrong_in_one_way_may_be_right_in_another() -> None:
    """A cookie's value is no bearer: shown as one by mistake, it still opens as a cookie."""
    value = cookie_value(TOKEN)
    found = answers(WAYS["bearer"](value), WAYS["cookie"](value))
    assert [each.status_code for each in found] == [401, 200]


def test_who_has_signed_in_is_not_kept_waiting_by_who_guesses_beside_them() -> None:
    wrong = [login(f"guess-{number}") for number in range(FREE + 3)]
    found = answers(login(TOKEN), *wrong, WAYS["cookie"](cookie_value(TOKEN)))
    assert [found[0].status_code, found[-2].status_code, found[-1].status_code] == [303, 429, 200]


def test_a_session_goes_on_while_its_address_must_wait() -> None:
    cookie = {"cookie": f"rpm_token={cookie_value(TOKEN)}"}
    wrong = [login(f"guess-{number}") for number in range(FREE + 3)]
    found = answers(listing(**cookie), *wrong, listing(**cookie), login(TOKEN))
    assert [found[0].status_code, found[-2].status_code, found[-1].status_code] == [200, 200, 429]

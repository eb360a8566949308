"""The feed over real HTTP, with a real broker behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from support.feed.records import alert, now_of, person, readings
from support.feed.running import TOKEN, RunningFeed, running_feed, wait_until

from rpm_stream.records import AlertState, Priority

BROWSER = {"accept": "text/html,application/xhtml+xml"}
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport="


def bearer(token: str) -> dict[str, str]:
    """The header of a client that has a token."""
    return {"authorization": f"Bearer {token}"}


def rows(client: httpx.Client, patient: str, **query: Any) -> list[dict[str, Any]]:
    """The views of one patient, in the order of the list."""
    listing = client.get("/api/alerts", params=query).raise_for_status().json()
    return [view for view in listing["alerts"] if view["row"]["patient"] == patient]


# --- who may see it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/api/alerts", "/api/alerts/stream", "/api/openapi.json", SOCKET + "polling"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        {"authorization": "Bearer"},
        {"authorization": "Basic eDp5"},
        {"cookie": "rpm_token=wrong"},
    ],
)
def test_nothing_is_shown_without_the_token(
    feed: RunningFeed, path: str, headers: dict[str, str]
) -> None:
    answer = httpx.get(feed.base + path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"detail": "show the token"}


@pytest.mark.parametrize("query", ["token", "rpm_token", "access_token"])
def test_the_token_does_not_count_in_a_url(feed: RunningFeed, query: str) -> None:
    assert httpx.get(f"{feed.base}/api/alerts", params={query: TOKEN}).status_code == 401


def test_the_pages_websocket_is_refused_without_the_token(feed: RunningFeed) -> None:
    assert httpx.get(feed.base + SOCKET + "websocket", headers=UPGRADE).status_code == 403


def test_the_pages_websocket_is_refused_to_another_site(feed: RunningFeed) -> None:
    """SameSite keeps the cookie from other sites; another port of this host is the same site, so
    Origin counts too.
    """
    with feed.client() as client:
        other = UPGRADE | {"origin": "http://127.0.0.1:1"}
        assert client.get(SOCKET + "websocket", headers=other).status_code == 403


def test_a_browser_is_asked_to_sign_in(feed: RunningFeed) -> None:
    answer = httpx.get(feed.base + "/", headers=BROWSER)
    assert answer.status_code == 401
    assert '<form method="post" action="/login"' in answer.text
    assert "not cleared as a medical device" in answer.text


def test_a_wrong_token_is_told_and_sets_no_cookie(feed: RunningFeed) -> None:
    answer = httpx.post(feed.base + "/login", data={"token": "wrong"})
    assert answer.status_code == 401 and "That token is not right." in answer.text
    assert "set-cookie" not in answer.headers


def test_the_right_token_sets_a_cookie_that_scripts_and_other_sites_do_not_get(
    feed: RunningFeed,
) -> None:
    answer = httpx.post(feed.base + "/login", data={"token": f" {TOKEN}\n"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert TOKEN not in cookie and "token with" not in cookie
    value = re.match(r"rpm_token=([0-9a-f]{64});", cookie)
    assert value is not None
    shown = httpx.get(
        feed.base + "/api/alerts", headers={"cookie": f"other=1; rpm_token={value[1]}"}
    )
    assert shown.status_code == 200


def test_signing_out_forgets_the_cookie(feed: RunningFeed) -> None:
    with feed.client() as client:
        assert client.get("/api/alerts").status_code == 200
        client.post("/logout")
        assert client.get("/api/alerts").status_code == 401


def test_another_site_cannot_send(feed: RunningFeed) -> None:
    with feed.client() as client:
        answer = client.post(
            "/login", data={"token": TOKEN}, headers={"origin": "https://elsewhere.example"}
        )
        assert answer.status_code == 403


def test_a_bearer_token_is_enough(kafka: str, tmp_path: Path) -> None:
    """And without a configured one, a new token is printed once, and it is the one that opens."""
    with running_feed(kafka, tmp_path, token=None) as feed:
        printed = re.findall(r"with the token (\S+)", feed.log.read_text())
        assert len(printed) == 1 and len(printed[0]) >= 43
        assert httpx.get(feed.base + "/api/alerts", headers=bearer(printed[0])).status_code == 200
        assert (
            httpx.get(feed.base + "/api/alerts", headers=bearer(printed[0][:-1])).status_code == 401
        )


def test_health_is_open_and_says_nothing_of_patients(feed: RunningFeed) -> None:
    answer = httpx.get(feed.base + "/healthz")
    assert answer.status_code == 200
    assert set(answer.json()) == {"ready", "judging", "clocks"}


def test_nothing_may_be_fetched_from_elsewhere(feed: RunningFeed) -> None:
    with feed.client() as client:
        page = client.get("/", headers=BROWSER)
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']+""", page.text) == []


# --- what it shows --------------------------------------------------------------------------------


def test_the_list_is_ranked_and_explained(feed: RunningFeed) -> None:
    patient = f"p-{uuid4()}"
    low, old, new, acknowledged = (str(uuid4()) for _ in range(4))
    feed.put("registry", person(patient, "Amelia Hart"))
    feed.put(
        "alerts",
        (low, alert(low, patient, "low", minutes=1)),
        (acknowledged, alert(acknowledged, patient, state="acknowledged", minutes=2)),
        (old, alert(old, patient, minutes=90)),
        (new, alert(new, patient, minutes=10)),
    )
    with feed.client() as client:
        wait_until(
            lambda: (
                len(rows(client, patient)) == 4
                and rows(client, patient)[0]["row"]["age"] is not None
            ),
            feed,
        )
        found = rows(client, patient)
        assert [view["row"]["id"] for view in found] == [new, old, acknowledged, low]
        first = found[0]["row"]
        assert first["name"] == "Amelia Hart"
        assert first["why"] == ["Oxygen saturation 90 % is at or below 91 %, twice in a row."]
        assert first["since_words"] == "10 minutes"
        assert found[2]["row"]["acknowledged_by"] == "N. Adeyemi"
        ref = first["patient_ref"]
        assert patient not in ref
        assert len(client.get("/api/alerts", params={"patient_ref": ref}).json()["alerts"]) == 4
        assert client.get("/api/alerts", params={"patient_ref": "0" * 16}).json()["alerts"] == []


def test_a_resolved_alert_moves_to_the_resolved(feed: RunningFeed) -> None:
    patient, key = f"p-{uuid4()}", str(uuid4())
    feed.put("alerts", (key, alert(key, patient)))
    with feed.client() as client:
        wait_until(lambda: len(rows(client, patient)) == 1, feed)
        feed.put("alerts", (key, alert(key, patient, state="resolved")))
        wait_until(lambda: rows(client, patient) == [], feed)
        assert [view["row"]["id"] for view in rows(client, patient, resolved=True)] == [key]


def test_what_is_over_stays_listed_and_brings_its_newest_values(feed: RunningFeed) -> None:
    patient, key = f"p-{uuid4()}", str(uuid4())
    values = (now_of("pulse_rate", ("88", "141"), minutes=4, unit="/min", trend="falling"),)
    feed.put("alerts", (key, alert(key, patient, over=True, now=values)))
    with feed.client() as client:
        wait_until(lambda: len(rows(client, patient)) == 1, feed)
        row = rows(client, patient)[0]["row"]
    assert (row["over"], row["seen_by"], row["section"], row["state"]) == (True, [], "now", "open")
    (now,) = row["now"]
    assert (now["name"], now["value"], now["unit"], now["trend"]) == (
        "Pulse",
        "88",
        "/min",
        "falling",
    )
    assert (now["age_words"], now["worst_words"], now["is_old"]) == (
        "4 minutes ago",
        "141 /min",
        False,
    )


def test_one_alert_with_its_chart_and_its_life(feed: RunningFeed) -> None:
    patient, key = f"p-{uuid4()}", str(uuid4())
    ids = [str(uuid4()) for _ in range(3)]
    feed.put(
        "readings", (patient, readings(patient, list(zip(ids, ["96", "93", "90"], strict=True))))
    )
    feed.put("alerts", (key, alert(key, patient, evidence=(ids[2], "long gone"))))
    with feed.client() as client:
        wait_until(lambda: client.get(f"/api/alerts/{key}").json().get("evidence_known") == 1, feed)
        detail = client.get(f"/api/alerts/{key}").json()
    assert detail["evidence_total"] == 2
    assert [step["state"] for step in detail["history"]] == ["open"]
    (chart,) = detail["charts"]
    assert [(point["value"], point["evidence"]) for point in chart["points"]] == [
        (96, False),
        (93, False),
        (90, True),
    ]
    assert {limit["value"] for limit in chart["limits"]} == {91, 93}


def test_what_is_wrong_is_told_without_repeating_it(feed: RunningFeed) -> None:
    with feed.client() as client:
        assert client.get(f"/api/alerts/{uuid4()}").json() == {"detail": "no such alert"}
        odd = client.get("/api/alerts/MRN-4711")
        assert odd.status_code == 422 and "4711" not in odd.text
        blank = client.post(
            f"/api/alerts/{uuid4()}/acknowledge", json={"who": "  ", "reason": "MRN-4711"}
        )
        assert blank.status_code == 422 and "4711" not in blank.text


def test_an_alert_that_cannot_be_read_is_counted(feed: RunningFeed) -> None:
    """It could be a red one: a feed that hides that it is missing is worse than one that says
    so.
    """
    with feed.client() as client:
        before = client.get("/api/alerts").json()["unreadable"]
        feed.put("alerts", (str(uuid4()), b'{"v":1,"id":'), (str(uuid4()), b"\xff\xfe"))
        wait_until(lambda: client.get("/api/alerts").json()["unreadable"] == before + 2, feed)


def test_without_a_worker_the_progress_says_so(feed: RunningFeed) -> None:
    with feed.client() as client:
        wait_until(
            lambda: client.get("/api/alerts").json()["progress"]["status"] == "no_worker", feed
        )
        with feed.worker():
            wait_until(
                lambda: client.get("/api/alerts").json()["progress"]["status"] == "current", feed
            )
        wait_until(
            lambda: client.get("/api/alerts").json()["progress"]["status"] == "no_worker", feed
        )


# --- the stream -----------------------------------------------------------------------------------


def events(answer: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """(event, data) of each server-sent event."""
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_the_stream_begins_with_everything_and_then_tells_what_changes(feed: RunningFeed) -> None:
    patient, before, after = f"p-{uuid4()}", str(uuid4()), str(uuid4())
    feed.put("alerts", (before, alert(before, patient)))
    with feed.client() as client:
        wait_until(lambda: len(rows(client, patient)) == 1, feed)
        with client.stream("GET", "/api/alerts/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            told = events(answer)
            name, snapshot = next(told)
            assert name == "snapshot" and before in {
                view["row"]["id"] for view in snapshot["alerts"]
            }
            feed.put(
                "alerts",
                (after, alert(after, patient)),
                (before, alert(before, patient, state="resolved")),
            )
            changed: dict[str, str] = {}
            progressed = False
            while len(changed) < 2 or not progressed:
                name, data = next(told)
                progressed = progressed or (name == "progress" and "judged_up_to" in data)
                if name == "alert":
                    changed[data["row"]["id"]] = data["row"]["state"]
            assert changed == {after: "open", before: "resolved"}


# --- what a person can do -------------------------------------------------------------------------


def test_an_acknowledgement_arrives_in_the_actions(feed: RunningFeed) -> None:
    patient, key = f"p-{uuid4()}", str(uuid4())
    feed.put("alerts", (key, alert(key, patient)))
    with feed.client() as client:
        wait_until(lambda: len(rows(client, patient)) == 1, feed)
        answer = client.post(
            f"/api/alerts/{key}/acknowledge", json={"who": " N. Adeyemi ", "reason": "calling"}
        )
        assert (answer.status_code, answer.json()) == (202, {"accepted": True})
        ((keyed, action),) = [found for found in feed.actions() if found[1].alert == key]
        assert keyed == action.patient == patient
        assert (action.action, action.who, action.reason) == (
            "acknowledge",
            "N. Adeyemi",
            "calling",
        )
        (waiting,) = rows(client, patient)
        assert (waiting["row"]["state"], waiting["pending"], waiting["pending_by"]) == (
            "open",
            "acknowledge",
            "N. Adeyemi",
        )
        feed.put("alerts", (key, alert(key, patient, state="acknowledged")))
        wait_until(lambda: rows(client, patient)[0]["row"]["state"] == "acknowledged", feed)
        assert rows(client, patient)[0]["pending"] is None


def put_one(
    feed: RunningFeed, client: httpx.Client, priority: Priority = "medium", **other: Any
) -> tuple[str, str]:
    """A listed alert of somebody new: its id and the patient."""
    patient, key = f"p-{uuid4()}", str(uuid4())
    feed.put("alerts", (key, alert(key, patient, priority, **other)))
    wait_until(lambda: len(rows(client, patient)) == 1, feed)
    return key, patient


def soon(hours: float) -> str:
    """RFC 3339 of so many hours ahead."""
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


@pytest.mark.parametrize(
    ("action", "body", "wanted"),
    [
        ("snooze", {"until": "4", "direction": "low"}, {"direction": "low"}),
        ("assign", {"to": " M. Keller "}, {"to": "M. Keller"}),
        ("comment", {"reason": "no answer"}, {"reason": "no answer"}),
        ("see", {}, {}),
        ("new_normal", {}, {}),
        ("resolve", {"reason": "she is fine"}, {"reason": "she is fine"}),
        ("withdraw", {"reason": "her husband wore it"}, {"reason": "her husband wore it"}),
    ],
)
def test_every_decision_arrives_in_the_actions(
    feed: RunningFeed, action: str, body: dict[str, str], wanted: dict[str, str]
) -> None:
    with feed.client() as client:
        key, patient = put_one(feed, client)
        sent = body | ({"until": soon(4)} if "until" in body else {})
        answer = client.post(f"/api/alerts/{key}/{action}", json={"who": "N. Adeyemi", **sent})
        assert answer.status_code == 202, answer.text
        ((keyed, found),) = [each for each in feed.actions() if each[1].alert == key]
        assert (keyed, found.action, found.who) == (patient, action, "N. Adeyemi")
        assert {name: getattr(found, name) for name in wanted} == wanted
        assert (found.until is not None) == (action == "snooze")
        (waiting,) = rows(client, patient)
        assert (waiting["pending"], waiting["pending_by"], waiting["unconfirmed"]) == (
            action,
            "N. Adeyemi",
            False,
        )


@pytest.mark.parametrize("state", ["open", "acknowledged"])
def test_law_3_a_high_alert_cannot_be_snoozed(feed: RunningFeed, state: AlertState) -> None:
    with feed.client() as client:
        key, _ = put_one(feed, client, "high", state=state)
        assert client.get(f"/api/alerts/{key}").json()["can_snooze"] is False
        answer = client.post(
            f"/api/alerts/{key}/snooze", json={"who": "N. Adeyemi", "until": soon(1)}
        )
        assert (answer.status_code, answer.json()) == (
            409,
            {"detail": "snooze refused: high alerts cannot be snoozed"},
        )
    assert all(action.alert != key for _, action in feed.actions())


@pytest.mark.parametrize(
    ("action", "body", "said"),
    [
        ("snooze", {}, "snooze refused: it does not say until when"),
        ("snooze", {"until": "-1"}, "snooze refused: its end is past"),
        ("snooze", {"until": "73"}, "snooze refused: it would last over 72 hours"),
        ("assign", {}, "assign refused: it does not say to whom"),
        ("assign", {"to": ":"}, "assign refused: it does not say to whom"),
        ("comment", {"reason": " "}, "comment refused: please say something"),
        ("resolve", {}, "resolve refused: please say why"),
        ("withdraw", {}, "withdraw refused: please say why"),
        (
            "comment",
            {"reason": "x", "who": "rpm-stream"},
            "rpm-stream is the service's own name; please say yours",
        ),
        ("comment", {"reason": "x", "who": None}, "please say who you are"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_plain_line(
    feed: RunningFeed, action: str, body: dict[str, str], said: str
) -> None:
    with feed.client() as client:
        key, _ = put_one(feed, client)
        sent = body | ({"until": soon(float(body["until"]))} if "until" in body else {})
        answer = client.post(f"/api/alerts/{key}/{action}", json={"who": "N. Adeyemi", **sent})
        assert (answer.status_code, answer.json()) == (409, {"detail": said})
        assert (
            client.post(f"/api/alerts/{key}/silence", json={"who": "N. Adeyemi"}).status_code == 422
        )
        assert (
            client.post(
                f"/api/alerts/{key}/snooze", json={"until": "2026-01-01T00:00:00"}
            ).status_code
            == 422
        )
    assert all(action.alert != key for _, action in feed.actions())


def test_who_decides_may_stand_in_the_cookie_of_the_page(feed: RunningFeed) -> None:
    with feed.client() as client:
        key, _ = put_one(feed, client)
        client.cookies.set("rpm_who", "N.%20Ad%C3%A9yemi")
        assert (
            client.post(f"/api/alerts/{key}/comment", json={"reason": "calling"}).status_code == 202
        )
        assert [action.who for _, action in feed.actions() if action.alert == key] == ["N. Adéyemi"]
        assert "rpm_who=" in client.post("/logout").headers["set-cookie"]


def test_what_is_already_acknowledged_is_told(feed: RunningFeed) -> None:
    with feed.client() as client:
        key, _ = put_one(feed, client, state="acknowledged")
        answer = client.post(f"/api/alerts/{key}/acknowledge", json={"who": "M. Keller"})
        assert answer.status_code == 409 and "already" in answer.json()["detail"]


def test_law_3_no_filter_of_the_list_leaves_out_a_high_alert(feed: RunningFeed) -> None:
    patient = f"p-{uuid4()}"
    high, medium = str(uuid4()), str(uuid4())
    feed.put(
        "alerts",
        (high, alert(high, patient)),
        (medium, alert(medium, patient, "medium", group="glucose")),
    )
    with feed.client() as client:
        wait_until(lambda: len(rows(client, patient)) == 2, feed)
        found = {
            str(query): {view["row"]["id"] for view in rows(client, patient, **query)}
            for query in (
                {"group": "glucose"},
                {"group": "weight"},
                {"priority": "low"},
                {"priority": ["medium", "low"]},
                {"person": "nobody"},
            )
        }
        assert list(found.values()) == [{high, medium}, {high}, {high}, {high, medium}, {high}]
        assert client.get("/api/alerts", params={"priority": "none"}).status_code == 422


def test_only_a_listed_alert_can_be_acknowledged(feed: RunningFeed) -> None:
    patient, key = f"p-{uuid4()}", str(uuid4())
    feed.put("alerts", (key, alert(key, patient, state="resolved")))
    with feed.client() as client:
        wait_until(lambda: len(rows(client, patient, resolved=True)) == 1, feed)
        for unknown in (key, str(uuid4())):
            answer = client.post(f"/api/alerts/{unknown}/acknowledge", json={"who": "N. Adeyemi"})
            assert answer.status_code == 404
    assert all(action.alert != key for _, action in feed.actions())


def test_law_11_no_patient_and_no_token_in_the_log(feed: RunningFeed) -> None:
    patient, key = f"MRN-{uuid4()}", str(uuid4())
    feed.put("alerts", (key, alert(key, patient)), (patient, b"{"))
    feed.put("readings", (patient, b"{"))
    feed.put("registry", (f"patient/{patient}", b"{"))
    with feed.client() as client:
        wait_until(lambda: len(rows(client, patient)) == 1, feed)
        client.post(f"/api/alerts/{key}/acknowledge", json={"who": "N. Adeyemi"})
        assert client.get(f"/patients/{patient}").status_code == 404
        assert client.get(f"/api/alerts/{patient}").status_code == 422
    wait_until(lambda: feed.log.read_text().count("feed.unreadable") >= 3, feed)
    printed = feed.log.read_text()
    assert patient not in printed and TOKEN not in printed and "N. Adeyemi" not in printed

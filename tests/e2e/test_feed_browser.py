"""The feed as a clinician uses it: a real browser, a real server, a real broker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from support.feed.records import alert, now_of, person, readings
from support.feed.running import TOKEN, RunningFeed, running_feed, wait_until

from rpm_stream.records import Action, Alert, AlertState, Event, Transition

pytestmark = pytest.mark.browser
QUIET = [
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1280, "height": 800}
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium from the PATH; without one the tests say so and are skipped."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the PATH: the feed's page is not tested in a browser")
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-test")
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", *QUIET]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def feed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFeed]:
    """A feed with a high, a medium and a low alert of three people."""
    with running_feed(kafka, tmp_path_factory.mktemp("feed")) as running:
        ids = [str(uuid4()) for _ in range(6)]
        values = list(zip(ids, ["96", "95", "96", "93", "91", "90"], strict=True))
        running.put("registry", person("p1", "Amelia Hart"), person("p2", "Boris Lindqvist"))
        running.put("readings", ("p1", readings("p1", values)))
        high, medium, low = (str(uuid4()) for _ in range(3))
        running.put(
            "alerts",
            (low, alert(low, "p3", "low", title="No measurements")),
            (medium, alert(medium, "p2", "medium", title="Weight rising")),
            (high, alert(high, "p1", evidence=(ids[4], ids[5]))),
        )
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A desktop browser without cookies, that collects what it asks of other hosts."""
    found = browser.new_context(viewport=DESKTOP, timezone_id="Europe/Berlin")  # type: ignore[arg-type]
    found.set_default_timeout(20_000)
    yield found
    found.close()


def signed_in(feed: RunningFeed, context: BrowserContext) -> Page:
    """The page after the login form."""
    page = context.new_page()
    page.goto(feed.base)
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("article")
    return page


def signed_in_with_medium(
    feed: RunningFeed, context: BrowserContext, patient: str, title: str, group: str
) -> tuple[Page, Alert]:
    """The page with a further medium alert, and that alert."""
    found = alert(str(uuid4()), patient, "medium", title=title, group=group)
    feed.put("alerts", (found.id, found))
    return signed_in(feed, context), found


def picture(page: Page, name: str) -> None:
    """A screenshot for people, where RPM_SCREENSHOTS names a folder."""
    if folder := os.environ.get("RPM_SCREENSHOTS"):
        page.wait_for_timeout(600)  # a dialogue has come or gone by then
        page.screenshot(path=Path(folder) / f"{name}.png")


def names(page: Page) -> list[str]:
    """The patients in the order of the list."""
    return [
        each.inner_text()
        for each in page.locator("article button.r-open").all()
        if each.is_visible()
    ]


def test_a_wrong_token_stays_outside(feed: RunningFeed, context: BrowserContext) -> None:
    page = context.new_page()
    answer = page.goto(feed.base)
    assert answer is not None and answer.status == 401
    page.get_by_label("Access token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("That token is not right.")
    assert page.locator("article").count() == 0


def test_the_page_asks_nothing_of_other_hosts(feed: RunningFeed, context: BrowserContext) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = signed_in(feed, context)
    page.get_by_role("button", name="Amelia Hart").click()
    page.wait_for_selector(".q-dialog canvas")
    elsewhere = [url for url in asked if not url.startswith((feed.base, "data:", "blob:"))]
    assert len(asked) > 10 and elsewhere == []
    assert all(TOKEN.split()[0] + "%20" not in url and "p1" not in url.split("/") for url in asked)


def test_the_most_urgent_stands_first_with_its_why(
    feed: RunningFeed, context: BrowserContext
) -> None:
    page = signed_in(feed, context)
    assert names(page) == ["Amelia Hart", "Boris Lindqvist", "p3"]
    first = page.locator("article").first
    expect(first).to_contain_text("High")
    expect(first).to_contain_text("Oxygen saturation 90 % is at or below 91 %, twice in a row.")
    expect(first).to_contain_text("30 minutes")
    expect(page.locator("footer")).to_contain_text("Not for emergencies")
    assert page.title() == "(1 high) Alerts"
    picture(page, "list-desktop")


def test_a_new_alert_appears_and_a_resolved_one_leaves_without_a_reload(
    feed: RunningFeed, context: BrowserContext
) -> None:
    page = signed_in(feed, context)
    key = str(uuid4())
    feed.put("alerts", (key, alert(key, "p9", title="Pulse high", minutes=1)))
    expect(page.locator("article").first).to_contain_text("Pulse high")
    feed.put("alerts", (key, alert(key, "p9", state="resolved", title="Pulse high")))
    expect(page.get_by_text("Pulse high")).to_have_count(0)
    page.get_by_role("button", name="Resolved").click()
    expect(page.locator("article")).to_contain_text(["Pulse high"])


def test_no_filter_hides_a_high_alert(feed: RunningFeed, context: BrowserContext) -> None:
    """Law 3: a reader's own filter must not make a red alert forgotten."""
    page = signed_in(feed, context)
    assert page.locator("button.r-chip.high").count() == 0
    page.get_by_role("button", name="Medium").click()
    expect(page.get_by_text("Your filter hides 1 alert. High alerts always stay.")).to_be_visible()
    assert names(page) == ["Amelia Hart", "p3"]
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("article")).to_have_count(3)
    page.get_by_label("Find a patient").fill("boris")
    expect(page.locator("article")).to_have_count(2)
    assert names(page) == ["Amelia Hart", "Boris Lindqvist"]
    picture(page, "list-filtered")
    page.get_by_label("Find a patient").fill("nobody at all")
    expect(page.locator("article")).to_have_count(1)
    assert names(page) == ["Amelia Hart"]
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("article")).to_have_count(3)
    page.get_by_test_id("tab-resolved").click()
    expect(page.locator("article").first).to_contain_text("Amelia Hart")
    page.get_by_test_id("tab-all").click()
    expect(page.locator("article")).to_have_count(3)


def decided(feed: RunningFeed, key: str, kind: str) -> list[Action]:
    """What of one kind was sent about an alert."""
    return [action for _, action in feed.actions() if action.alert == key and action.action == kind]


def answered(found: Alert, state: AlertState, reason: str) -> Alert:
    """The judge's answer to a decision of N. Adeyemi, a moment later."""
    at = datetime.now(UTC)
    step = Transition(at=at, state=state, priority=found.priority, who="N. Adeyemi", reason=reason)
    return msgspec.structs.replace(
        found, state=state, history=(*found.history, step), updated_at=at
    )


def test_a_medium_alert_is_snoozed_out_of_the_way_and_comes_back_with_a_rise(
    feed: RunningFeed, context: BrowserContext
) -> None:
    page, found = signed_in_with_medium(feed, context, "p8", "Glucose low", "glucose")
    key = found.id
    row = page.locator(f'[data-alert="{key}"]')
    row.get_by_role("button", name="Snooze").click()
    dialog = page.locator(".q-dialog")
    dialog.get_by_role("radio", name="4 hours").click()
    dialog.get_by_role("radio", name="Only low values").click()
    dialog.get_by_label("Your name").fill("N. Adeyemi")
    picture(page, "snooze-desktop")
    dialog.get_by_role("button", name="Snooze").click()
    expect(row).to_contain_text("Snoozing for N. Adeyemi")
    (sent,) = decided(feed, key, "snooze")
    assert sent.until is not None and sent.direction == "low"
    # the end that was shown, in whole minutes, as of when the question was asked
    assert abs(sent.until - sent.at - timedelta(hours=4)) <= timedelta(minutes=1)
    sleeping = answered(found, "snoozed", "snoozed for 240 minutes, low values only")
    feed.put("alerts", (key, sleeping))
    folded = page.get_by_test_id("snoozed")
    expect(folded).to_contain_text("Snoozed (1)")
    expect(row).not_to_be_visible()
    folded.locator("summary").press("Enter")
    expect(row).to_contain_text("low values only")
    expect(row).to_contain_text("Snoozed until")
    risen = Transition(
        at=datetime.now(UTC), state="open", priority="high", who="rpm-stream", reason="below 54"
    )
    history = (*sleeping.history, risen)
    feed.put(
        "alerts",
        (key, msgspec.structs.replace(sleeping, state="open", priority="high", history=history)),
    )
    expect(folded).not_to_be_visible()
    expect(row).to_be_visible()
    assert names(page).index("p8") < names(page).index("Boris Lindqvist")
    feed.put("alerts", (key, alert(key, "p8", "high", "resolved")))
    expect(row).to_have_count(0)


def test_a_high_alert_offers_no_snooze(feed: RunningFeed, context: BrowserContext) -> None:
    page = signed_in(feed, context)
    high = page.locator("article").first
    expect(high).to_contain_text("High")
    expect(high.get_by_role("button", name="Acknowledge")).to_be_visible()
    expect(high.get_by_role("button", name="Snooze")).to_have_count(0)
    page.get_by_role("button", name="Amelia Hart").click()
    dialog = page.locator(".q-dialog")
    expect(dialog.get_by_role("button", name="Comment")).to_be_visible()
    expect(dialog.get_by_role("button", name="Snooze")).to_have_count(0)


def test_assigning_and_commenting_and_what_is_mine(
    feed: RunningFeed, context: BrowserContext
) -> None:
    page, found = signed_in_with_medium(feed, context, "p9", "Weight high", "weight")
    key = found.id
    page.get_by_role("button", name="Who are you?").click()
    page.get_by_label("Name as colleagues know it").fill("N. Adeyemi")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="N. Adeyemi")).to_be_visible()
    page.get_by_role("button", name="p9").click()
    dialog, asked = (
        page.get_by_role("dialog", name="Alert"),
        page.get_by_role("dialog", name="Decide"),
    )
    dialog.get_by_role("button", name="Assign").click()
    asked.get_by_role("button", name="Me").click()
    asked.get_by_role("button", name="Assign").click()
    wait_until(lambda: [each.to for each in decided(feed, key, "assign")] == ["N. Adeyemi"], feed)
    assigned = answered(found, "open", "assigned to N. Adeyemi")
    feed.put("alerts", (key, assigned))
    expect(dialog).to_contain_text("assigned to N. Adeyemi")
    dialog.get_by_role("button", name="Comment").click()
    asked.get_by_role("button", name="Comment").click()
    expect(asked.get_by_role("alert")).to_have_text("Please say something.")
    asked.get_by_label("Comment", exact=True).fill("no answer")
    asked.get_by_role("button", name="Comment").click()
    wait_until(
        lambda: [each.reason for each in decided(feed, key, "comment")] == ["no answer"], feed
    )
    feed.put("alerts", (key, answered(assigned, "open", "comment: no answer")))
    expect(dialog).to_contain_text("Comment by N. Adeyemi")
    expect(dialog).to_contain_text("no answer")
    page.keyboard.press("Escape")
    expect(page.locator(f'[data-alert="{key}"]')).to_contain_text("Assigned to N. Adeyemi")
    page.get_by_test_id("tab-mine").click()
    expect(page.locator("article")).to_have_count(2)
    assert names(page) == ["Amelia Hart", "p9"]
    page.reload()
    expect(page.get_by_role("button", name="N. Adeyemi")).to_be_visible()
    feed.put("alerts", (key, alert(key, "p9", "medium", "resolved")))
    expect(page.locator(f'[data-alert="{key}"]')).to_have_count(0)


def test_what_cannot_be_undone_says_so_and_asks_why(
    feed: RunningFeed, context: BrowserContext
) -> None:
    page = signed_in(feed, context)
    page.get_by_role("button", name="Boris Lindqvist").click()
    dialog, asked = (
        page.get_by_role("dialog", name="Alert"),
        page.get_by_role("dialog", name="Decide"),
    )
    for button, kind in (("Resolve", "resolve"), ("Wrong reading", "withdraw")):
        dialog.get_by_role("button", name=button).click()
        expect(asked).to_contain_text("This cannot be undone.")
        asked.get_by_label("Your name").fill("N. Adeyemi")
        page.keyboard.press("Enter")
        asked.get_by_role("button", name=button).click()
        expect(asked.get_by_role("alert")).to_have_text("Please say why.")
        page.keyboard.press("Escape")
        expect(asked).to_have_count(0)
        assert all(
            action.action != kind or action.who != "N. Adeyemi" for _, action in feed.actions()
        )


def test_what_is_lower_and_back_inside_its_limits_stands_apart_and_says_why(
    feed: RunningFeed, context: BrowserContext
) -> None:
    key = str(uuid4())
    feed.put("alerts", (key, alert(key, "p6", "medium", title="Glucose low", historical=True)))
    page = signed_in(feed, context)
    folded = page.get_by_test_id("back")
    expect(folded).to_contain_text("Values are back inside their limits (1)")
    row = page.locator(f'[data-alert="{key}"]')
    expect(row).not_to_be_visible()
    folded.locator("summary").click()
    expect(row).to_contain_text("Newer measurements are back inside their limits.")
    feed.put("alerts", (key, alert(key, "p6", "medium", "resolved")))
    expect(folded).not_to_be_visible()


def step_of(event: Event, minutes: float, **fields: Any) -> Transition:
    """A step of the service so many minutes ago, of a high alert that stays open."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return Transition(
        **{"at": at, "state": "open", "priority": "high", "who": "rpm-stream", "reason": ""}
        | fields,
        event=event,
    )


def test_what_is_over_says_so_until_somebody_has_looked(
    feed: RunningFeed, context: BrowserContext
) -> None:
    """Drawing the page says nothing; a press on Seen does."""
    key, other = str(uuid4()), str(uuid4())
    history = (
        step_of("opened", 70, reason="Oxygen saturation 84 % is at or below 91 %."),
        step_of("escalated", 40),
        step_of("over", 12),
    )
    values = (
        now_of("oxygen_saturation", ("96", "84"), minutes=2, trend="rising"),
        now_of("respiratory_rate", ("16", "26"), minutes=9, unit="/min", trend="steady"),
    )
    found = alert(key, "p5", minutes=70, over=True, escalation=1, history=history, now=values)
    stale = now_of("weight", ("84.6", "84.6"), minutes=60 * 30, unit="kg")
    feed.put("registry", person("p5", "Chidi Okafor"))
    feed.put(
        "alerts",
        (key, found),
        (other, alert(other, "p4", "medium", title="Weight high", stale=True, now=(stale,))),
    )
    page = signed_in(feed, context)
    row = page.locator(f'[data-alert="{key}"]')
    expect(row).to_contain_text("Over, not seen")
    expect(row).to_contain_text(
        "All values are back inside their limits. Nobody has looked at it yet."
    )
    expect(row).to_contain_text("2 minutes ago")
    expect(row).to_contain_text("worst 84 %")
    expect(row.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(page.locator(f'[data-alert="{other}"]')).to_contain_text("old: 30 hours ago")
    assert names(page)[:3] == ["Amelia Hart", "Chidi Okafor", "p4"]
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    picture(page, "over-wide")
    page.get_by_role("button", name="Chidi Okafor").click()
    dialog, asked = (
        page.get_by_role("dialog", name="Alert"),
        page.get_by_role("dialog", name="Decide"),
    )
    expect(dialog).to_contain_text("Escalated: nobody has acknowledged it for 30 minutes")
    expect(dialog).to_contain_text(
        "All values are back inside their limits; nobody has seen it yet"
    )
    picture(page, "over-detail")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    picture(page, "over-detail-phone")
    page.keyboard.press("Escape")
    page.wait_for_function(f"document.documentElement.scrollWidth <= {PHONE['width']}")
    expect(dialog).to_have_count(0)
    row.scroll_into_view_if_needed()
    picture(page, "over-phone")
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    assert not [action for _, action in feed.actions() if action.alert == key]
    row.get_by_role("button", name="Seen").click()
    asked.get_by_label("Your name").fill("N. Adeyemi")
    picture(page, "over-seen")
    asked.get_by_role("button", name="Seen").click()
    expect(row).to_contain_text("Marking as seen for N. Adeyemi")
    (sent,) = decided(feed, key, "see")
    assert (sent.record, sent.seen) == (found.updated_at, "high")
    seen = step_of("seen", 0, who="N. Adeyemi", at=datetime.now(UTC))
    feed.put("alerts", (key, msgspec.structs.replace(found, history=(*history, seen))))
    expect(row).to_contain_text("Seen by N. Adeyemi")
    expect(row).not_to_contain_text("Nobody has looked")
    feed.put(
        "alerts",
        (key, alert(key, "p5", state="resolved")),
        (other, alert(other, "p4", "medium", "resolved")),
    )
    expect(row).to_have_count(0)


def test_the_detail_shows_chart_history_and_rule_by_keyboard(
    feed: RunningFeed, context: BrowserContext
) -> None:
    page = signed_in(feed, context)
    page.get_by_role("button", name="Amelia Hart").focus()
    page.keyboard.press("Enter")
    dialog = page.locator(".q-dialog")
    page.wait_for_selector(".q-dialog canvas")
    expect(dialog).to_contain_text("6 values from 90 to 96 %, last 90.")
    expect(dialog).to_contain_text("NEWS2 red ≤ 91 %")
    expect(dialog).to_contain_text("Opened at high priority")
    expect(dialog).to_contain_text("news2 2017, oxygen saturation, red")
    picture(page, "detail-desktop")
    page.keyboard.press("Escape")
    expect(page.locator(".q-dialog canvas")).to_have_count(0)


def test_acknowledging_asks_who_and_remembers(feed: RunningFeed, context: BrowserContext) -> None:
    first, second = str(uuid4()), str(uuid4())
    feed.put(
        "alerts",
        *((key, alert(key, "p7", "medium", title=f"Trial {key}")) for key in (first, second)),
    )
    page = signed_in(feed, context)
    row = page.locator(f'[data-alert="{first}"]')
    row.get_by_role("button", name="Acknowledge").click()
    send = page.locator(".q-dialog").get_by_role("button", name="Acknowledge")
    send.click()
    expect(page.get_by_text("Please say who you are.")).to_be_visible()
    page.get_by_label("Your name").fill("N. Adeyemi")
    page.get_by_label("Note (optional)").fill("calling")
    send.click()
    expect(row).to_contain_text("Acknowledging for N. Adeyemi")
    wait_until(
        lambda: any(a.alert == first and a.reason == "calling" for _, a in feed.actions()), feed
    )
    feed.put(
        "alerts", (first, alert(first, "p7", "medium", "acknowledged", title=f"Trial {first}"))
    )
    expect(row).to_contain_text("Acknowledged")
    page.locator(f'[data-alert="{second}"]').get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_label("Your name")).to_have_value("N. Adeyemi")
    page.get_by_role("button", name="Cancel").click()
    done = [(key, alert(key, "p7", "medium", "resolved")) for key in (first, second)]
    feed.put("alerts", *done)
    expect(page.locator("article")).to_have_count(3)


def test_a_dead_worker_shows(feed: RunningFeed, context: BrowserContext) -> None:
    page = signed_in(feed, context)
    expect(page.get_by_text("No worker is judging.")).to_be_visible()
    with feed.worker():
        expect(page.get_by_text("No worker is judging.")).to_have_count(0, timeout=40_000)
        expect(page.get_by_text("Judged up to")).to_be_visible()
        picture(page, "list-judged")
    expect(page.get_by_text("No worker is judging.")).to_be_visible(timeout=40_000)


def test_on_a_phone_nothing_is_cut_off(feed: RunningFeed, context: BrowserContext) -> None:
    page = signed_in(feed, context)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    # once icons have their font
    page.wait_for_function(f"document.documentElement.scrollWidth <= {PHONE['width']}")
    picture(page, "list-phone")
    page.get_by_role("button", name="Amelia Hart").click()
    page.wait_for_selector(".q-dialog canvas")
    sheet = page.locator(".q-dialog .q-card").bounding_box()
    assert sheet is not None and sheet["x"] >= 0 and sheet["x"] + sheet["width"] <= PHONE["width"]
    picture(page, "detail-phone")


def test_signing_out_closes_the_page(feed: RunningFeed, context: BrowserContext) -> None:
    page = signed_in(feed, context)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    answer = page.goto(feed.base)
    assert answer is not None and answer.status == 401

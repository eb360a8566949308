"""The feed as a clinician uses it: a real browser, a real server, a real broker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from feed_for_tests import TOKEN, RunningFeed, alert, person, readings, running_feed, wait_until
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

pytestmark = pytest.mark.browser
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium from the PATH; without one the tests say so and are skipped."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the PATH: the feed's page is not tested in a browser")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *QUIET])
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


def picture(page: Page, name: str) -> None:
    """A screenshot for people, where RPM_SCREENSHOTS names a folder."""
    if folder := os.environ.get("RPM_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def names(page: Page) -> list[str]:
    """The patients in the order of the list."""
    return [each.inner_text() for each in page.locator("article button").filter(has_not_text="Acknowledge").all()]


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


def test_the_most_urgent_stands_first_with_its_why(feed: RunningFeed, context: BrowserContext) -> None:
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
    page.get_by_role("button", name="Resolved (24 h)").click()
    expect(page.locator("article")).to_contain_text(["Pulse high"])


def test_a_filter_that_hides_a_high_alert_says_so(feed: RunningFeed, context: BrowserContext) -> None:
    """Law 3: a reader's own filter must not make a red alert forgotten."""
    page = signed_in(feed, context)
    page.get_by_role("button", name="High", exact=False).first.click()
    expect(page.get_by_text("Your filter hides 1, 1 of them high.")).to_be_visible()
    assert names(page) == ["Boris Lindqvist", "p3"]
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("article")).to_have_count(3)


def test_the_detail_shows_chart_history_and_rule_by_keyboard(feed: RunningFeed, context: BrowserContext) -> None:
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
    feed.put("alerts", *((key, alert(key, "p7", "medium", title=f"Trial {key}")) for key in (first, second)))
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
    wait_until(lambda: any(a.alert == first and a.reason == "calling" for _, a in feed.actions()), feed)
    feed.put("alerts", (first, alert(first, "p7", "medium", "acknowledged", title=f"Trial {first}")))
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
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
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

"""The page of the stories shows everything that they hold, and a browser draws it without a
server.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright
from support.scenarios.draw import page, told, words_of
from support.scenarios.library import STORIES

ARTICLE = re.compile(r'<article id="(.*?)">(.*?)</article>', re.DOTALL)
CHART = re.compile(
    r'data-vital="(.*?)"></div><script type="application/json">(.*?)</script>', re.DOTALL
)


@pytest.fixture(scope="module")
def drawn() -> str:
    return page()


@pytest.fixture(scope="module")
def articles(drawn: str) -> dict[str, str]:
    return dict(ARTICLE.findall(drawn))


def test_every_story_is_there(articles: dict[str, str]) -> None:
    assert sorted(articles) == [story.name for story in STORIES]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_is_drawn_whole(story: Path, articles: dict[str, str]) -> None:
    """Its words; each vital that was measured, with all values; each alert with priority and
    why; each refusal.
    """
    article, found = articles[story.name], told(story)
    assert escape(words_of(story)) in article
    charts = [(vital, json.loads(data)) for vital, data in CHART.findall(article)]
    for vital in {reading.vital for reading in found.readings}:
        shown = sum(len(chart["series"][0]["data"]) for name, chart in charts if name == vital)
        assert shown == sum(reading.vital == vital for reading in found.readings)
    for records in found.alerts.values():
        alert = records[-1]
        assert f'<span class="chip {alert.priority}">' in article
        said = (alert.title, alert.state, *alert.why, *(step.reason for step in alert.history))
        assert all(escape(words) in article for words in said)
    assert ("No alert: nobody is called." in article) == (not found.alerts)
    for reject in found.rejects:
        assert escape(reject.detail) in article


def test_the_page_needs_nothing_from_elsewhere(drawn: str) -> None:
    """It can be sent to a clinician as one file."""
    assert not re.search(r'(src|href)="(?!#)', drawn)
    assert "$" not in "".join(re.findall(r"<nav>.*?</nav>", drawn, re.DOTALL))


@pytest.fixture
def browser_page(tmp_path: Path, drawn: str) -> Iterator[tuple[Page, list[str]]]:
    """The page in Chromium, and what went wrong in it."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the PATH: the page of the stories is not drawn in a browser")
    (tmp_path / "scenarios.html").write_text(drawn, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        shown, errors = browser.new_page(), []
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.goto((tmp_path / "scenarios.html").as_uri())
        yield shown, errors
        browser.close()


@pytest.mark.browser
def test_a_browser_draws_the_charts(browser_page: tuple[Page, list[str]]) -> None:
    shown, errors = browser_page
    for story in ("sepsis-like-deterioration", "glucose-borders"):
        places = shown.locator(f"#{story} .chart")
        for place in places.all():
            place.scroll_into_view_if_needed()
            place.locator("svg path").first.wait_for(state="attached")
        assert places.count() >= 1
    assert errors == []

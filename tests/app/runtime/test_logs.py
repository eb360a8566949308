"""Logging: one JSON line an event, libraries never below WARNING, and not the same line over and
over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from rpm_stream.app.runtime.logs import LIBRARIES, configure_log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """What pytest and the other tests have set up comes back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_an_event_is_one_json_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("INFO", "INFO")
    structlog.get_logger().info("started", stage="ingest")
    logging.getLogger("aiokafka").error('it said "no"\nand more')
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("mode").exception("crashed")
    own, library, crash = said(capsys)
    assert (own["event"], own["stage"], own["level"]) == ("started", "ingest", "info")
    assert (library["event"], library["logger"]) == ('it said "no"\nand more', "aiokafka")
    assert "KeyError" in crash["exception"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_no_library_is_heard_below_warning(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They log what they send and receive: patient data."""
    configure_log("DEBUG", "DEBUG")
    logging.getLogger(name).info("payload")
    logging.getLogger(f"{name}.part").debug("payload")
    assert said(capsys) == []


def test_a_command_hears_nothing_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("WARNING")
    logging.getLogger("aiokafka").error("Unable connect")
    assert said(capsys) == []


def test_the_same_line_is_not_repeated_and_the_harmless_one_not_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_log("INFO", "INFO")
    for node in range(100):
        logging.getLogger("aiokafka").error("Unable connect to node %s", node)
        logging.getLogger("aiokafka.consumer.group_coordinator").error(
            "Group Coordinator Request failed: %s", node
        )
    logging.getLogger("aiokafka").error("another")
    assert [line["event"] for line in said(capsys)] == ["Unable connect to node 0", "another"]

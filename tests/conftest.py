"""What all test modules share: one embedded Kafka for the whole run, and what counts as skipped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rpm_stream.app.broker.broker import Broker

# How fast a machine is must decide no test: others may be at work on it.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def may_mount() -> bool:
    """Whether a process may mount a file system that it alone sees: containers often may not."""
    try:
        command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"  # CI: what cannot run here counts as failed
HEAVY = os.environ.get("RPM_HEAVY") == "1"
SMALL_DISK = may_mount()
E2E = Path(__file__).parent / "e2e"  # all below it; elsewhere the fixtures tell
KAFKA_FIXTURES = frozenset({"kafka", "broker", "service"})  # the last two: a module's own broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of an empty Kafka on a free port; started once, when the first test asks
    for it.

    Tests share it: use topics and groups of your own (a unique prefix), and never stop or pause it.
    """
    with Broker(tmp_path_factory.mktemp("broker"), port=0) as broker:
        yield broker.bootstrap


def _starts_kafka(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    if E2E in item.path.parents:
        return True
    return (
        not KAFKA_FIXTURES.isdisjoint(item.fixturenames)
        or "Broker" in item.function.__code__.co_names
    )


@pytest.hookimpl(tryfirst=True)  # before -m selects by the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs Kafka; leave out (pytest counts them as deselected) what the header says
    is left out.
    """
    for item in items:
        if _starts_kafka(item):
            item.add_marker(pytest.mark.e2e)
    for mark, runs in (("heavy", HEAVY), ("small_disk", SMALL_DISK)):
        left_out = {item for item in items if not runs and item.get_closest_marker(mark)}
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what this run will and will not do."""
    heavy = "run" if HEAVY else "are left out (RPM_HEAVY=1 runs them)"
    skipped = "fail the run (REQUIRE_ALL=1)" if REQUIRE_ALL else "are named at the end"
    disk = "run" if SMALL_DISK else "are left out (nobody may mount one here)"
    return [f"heavy tests {heavy}; tests on a small disk {disk}; skipped tests {skipped}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under REQUIRE_ALL a test that is skipped has failed, with its reason."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1, but skipped: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that is skipped."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = (
            f"{collector.nodeid}: REQUIRE_ALL=1, but skipped: {_reason(report.longrepr)}"
        )
    return report


def _reason(longrepr: object) -> str:
    """A skip's report is (file, line, reason)."""
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)

"""A service that is well and has nothing to do: every panel of the dashboard shows a number, and no
alert rings.

What the processes really say to Prometheus goes, as it is, through the rules and every panel's
query, by promtool.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.kafka.service import Service, running
from support.paths import repository

from rpm_stream.app.runtime.metrics import STAGES
from rpm_stream.app.stages.demo import free_ports
from rpm_stream.app.stages.restarts import PORTS_AFTER

DEPLOY = repository("deploy")
RULES = DEPLOY / "prometheus/alerts.yml"
DASHBOARD = DEPLOY / "grafana/dashboards/rpm-stream.json"
PATIENCE_S = 90.0
QUIET_FOR = "14m"  # RpmNothingArrives rings after 45: nobody sends anything here
OURS = ("rpm_", "process_")
# What a process says last of all that it says before anything has come: then it has settled.
SETTLED = {
    "ingest": "rpm_clock_offset_seconds",
    "judge": "rpm_clock_offset_seconds",
    "sink": "rpm_clock_offset_seconds",
    "feed": "rpm_retention_left_seconds",
    "reconcile": "rpm_gateways_expected",
}


@contextmanager
def at_work(service: Service, port: int) -> Iterator[None]:
    """All stages under a supervisor, and the books beside them."""
    environment = {
        **os.environ,
        "RPM_BOOTSTRAP": service.bootstrap,
        "RPM_DATA_DIR": str(service.folder),
        "RPM_TOKEN": "t",
        "RPM_METRICS_PORT": str(port),
        "RPM_FEED_PORT": str(port + len(STAGES) + 1),
        "RPM_LOG_LEVEL": "INFO",
        "RPM_FHIR_URL": "http://127.0.0.1:1/fhir",  # nobody is asked anything
    }
    commands = (
        ["worker", "--stages", ",".join(STAGES)],
        ["reconcile", "--every", "10s", "--metrics-port", str(port + len(STAGES))],
    )
    with service.log.open("ab") as log, ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", "rpm_stream", *command],
                env=environment,
                stderr=log,
                stdout=log,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield


def scraped(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except httpx.TransportError:
        return ""


def has_said(text: str, name: str) -> bool:
    """Whether a metric has a sample, and for the books whether they were balanced."""
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return bool(lines) and "rpm_reconcile_last_success_timestamp_seconds 0.0" not in text


def all_said(service: Service, port: int) -> dict[tuple[str, str], str]:
    """What each process says once it has settled, by job and process."""
    ports = {
        ("rpm-stream", name): port + number for number, name in enumerate((*STAGES, "reconcile"))
    }
    ports[("rpm-supervisor", STAGES[0])] = port + PORTS_AFTER
    end = time.monotonic() + PATIENCE_S
    while True:
        texts = {target: scraped(where) for target, where in ports.items()}
        late = [
            name
            for (job, name), text in texts.items()
            if job == "rpm-stream" and not has_said(text, SETTLED[name])
        ]
        if not late and "rpm_stage_restarts_total" in texts[("rpm-supervisor", STAGES[0])]:
            return texts
        assert time.monotonic() < end, (
            f"{late} have not settled: {service.log.read_text(errors='replace')[-3000:]}"
        )
        time.sleep(0.3)


def series(texts: dict[tuple[str, str], str]) -> list[dict[str, str]]:
    """Samples as promtool wants them: each stays as it is for an hour."""
    found = []
    for (job, process), text in texts.items():
        where = {"job": job, "process": process, "instance": f"{process}:1"}
        samples = [("up", {}, 1.0)]
        for family in text_string_to_metric_families(text):
            samples += [
                (each.name, each.labels, each.value)
                for each in family.samples
                if each.name.startswith(OURS)
            ]
        for name, labels, value in samples:
            given = ",".join(
                f"{label}={json.dumps(text)}" for label, text in {**labels, **where}.items()
            )
            number = "1e300" if value == float("inf") else repr(value)
            found.append({"series": f"{name}{{{given}}}", "values": f"{number}x240"})
    return found


def panels() -> list[tuple[str, str]]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [
        (panel["title"], target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


def alerts() -> list[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What an idle service says."""
    if shutil.which("promtool") is None:  # asked before a service is started for it
        pytest.skip("no promtool on the PATH (Debian: it is in the package prometheus)")
    port = free_ports(26_000, PORTS_AFTER + 1)
    with running(tmp_path_factory.mktemp("idle")) as service, at_work(service, port):
        return series(all_said(service, port))


def promtool(folder: Path, test: dict[str, Any]) -> str:
    """What promtool says of a test; "" where it passes."""
    content = {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    ran = subprocess.run(
        ["promtool", "test", "rules", "test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def test_every_panel_shows_a_number(said: list[dict[str, str]], tmp_path: Path) -> None:
    """``absent`` of what a query gives, less what is no number, has nothing to say."""
    asked = []
    for _, expr in panels():
        query = expr.replace("$__rate_interval", "5m")
        asked.append(
            {"expr": f"absent(({query}) == ({query}))", "eval_time": QUIET_FOR, "exp_samples": []}
        )
    assert (
        promtool(tmp_path, {"interval": "15s", "input_series": said, "promql_expr_test": asked})
        == ""
    )


def test_no_alert_rings(said: list[dict[str, str]], tmp_path: Path) -> None:
    asked = [{"eval_time": QUIET_FOR, "alertname": name} for name in alerts()]
    assert (
        promtool(tmp_path, {"interval": "15s", "input_series": said, "alert_rule_test": asked})
        == ""
    )


def test_the_check_would_see_an_empty_panel(said: list[dict[str, str]], tmp_path: Path) -> None:
    """A query of a counter that nobody has counted yet fails the first test."""
    query = "sum(rate(rpm_nothing_total[5m]))"
    asked = [{"expr": f"absent(({query}) == ({query}))", "eval_time": QUIET_FOR, "exp_samples": []}]
    assert (
        promtool(tmp_path, {"interval": "15s", "input_series": said, "promql_expr_test": asked})
        != ""
    )

"""The door to Prometheus: each stage its own port, none when switched off, one clear line when
it is taken.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from rpm_stream.app.runtime import metrics
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.metrics import STAGES, serve
from rpm_stream.app.runtime.settings import Settings


@pytest.mark.parametrize("stage", STAGES)
def test_a_port_in_use_says_which_and_what_to_set(stage: str, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(UsageError, match=rf":{port} of the stage {stage}: .*RPM_METRICS_PORT"):
            serve(Settings(metrics_port=port - STAGES.index(stage), data_dir=tmp_path), stage)


def test_zero_switches_it_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def listens(*_: object) -> None:
        raise AssertionError("it listens")

    monkeypatch.setattr(metrics, "listen", listens)
    serve(Settings(metrics_port=0, data_dir=tmp_path), "ingest")


def test_every_metric_says_what_it_is() -> None:
    lines = generate_latest().decode().splitlines()
    ours = [line.split(None, 3)[2:] for line in lines if line.startswith("# HELP rpm_")]
    assert len(ours) > 10
    assert all(len(each) == 2 and len(each[1]) > 10 for each in ours), ours

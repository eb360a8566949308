"""``make model``: the training program gives the same usable model from the same stays."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.command_line import ended
from support.paths import repository, shared_data

from rpm_stream.knowledge import load, shipped

PROGRAM = repository("benchmarks", "train", "deterioration.py")


def test_the_same_stays_give_the_same_model_and_one_for_each_fold(tmp_path: Path) -> None:
    if not shared_data("sepsis2019.csv.gz").is_file():
        pytest.skip("sepsis2019.csv.gz is not there: set RPM_SHARED to the folder with data/")
    environment = {**os.environ, "RPM_SHARED": str(shared_data().parent)}
    written = []
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        out = folder / "deterioration.toml"
        arguments = ["--patients", "120", "--folds", str(folder / "folds"), "--out", str(out)]
        done = ended([sys.executable, str(PROGRAM), *arguments], environment, folder)
        assert done.returncode == 0, done.stderr
        written.append(out.read_text("utf-8"))
    assert written[0] == written[1]
    made = load(tmp_path / "first").deterioration
    assert made.features.keys() == shipped().deterioration.features.keys()
    assert made.thresholds["0.25"] >= made.thresholds["0.5"] >= made.thresholds["1"] > 0
    models = [load(tmp_path / "first" / "folds" / f"{fold}").deterioration for fold in range(5)]
    assert len({model.checksum for model in [*models, made]}) == 6

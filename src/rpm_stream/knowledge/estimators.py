"""River's estimators by their names in a table: build the ones for shadow, and check that they run.

River takes most of a second to load. So this module is imported only where a table names one of its
classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from types import ModuleType
from typing import Any, Final

from river import anomaly, compose, drift, linear_model, optim, preprocessing, stats, time_series
from river.base import AnomalyDetector, Base, DriftDetector, Estimator, SupervisedAnomalyDetector

from rpm_stream.errors import RpmStreamError
from rpm_stream.knowledge.scoring import ShadowTable

PREFIX: Final = "river."
MODULES: Final[Mapping[str, ModuleType]] = {
    "anomaly": anomaly,
    "drift": drift,
    "linear_model": linear_model,
    "optim": optim,
    "preprocessing": preprocessing,
    "stats": stats,
    "time_series": time_series,
}
"""Modules of River whose classes a table may name. None of them reads a file or a socket."""

TRIED: Final = 48
"""The number of vectors of the trial. A sliding window of 40 turns over within it."""

Vector = dict[Any, Any]


class EstimatorError(RpmStreamError):
    """An estimator cannot be made or cannot be run.

    The text has the reason.
    """


def made(row: ShadowTable) -> Estimator | DriftDetector:
    """Make the estimator that a table's row describes: one class, or a pipeline of classes.

    Raises EstimatorError.
    """
    if row.pipeline:
        return compose.Pipeline(*(_one(step) for step in row.pipeline))
    return _one({"class": row.class_, "parameters": row.parameters})  # type: ignore[no-any-return]


def _one(described: Mapping[str, Any]) -> Any:
    name = described.get("class", "")
    if unknown := sorted(described.keys() - {"class", "parameters"}):
        raise EstimatorError(
            f"unknown key {', '.join(unknown)}; a class has its parameters under parameters"
        )
    kind = _class(name)
    parameters = {key: _value(value) for key, value in described.get("parameters", {}).items()}
    try:
        return kind(**parameters)
    except Exception as error:  # noqa: BLE001  # any error of the class about its parameters
        raise EstimatorError(f"{name}: {' '.join(str(error).split())}") from None


def _value(value: Any) -> Any:
    """Return a parameter, or an estimator of River for a table with a class."""
    return _one(value) if isinstance(value, Mapping) and "class" in value else value


def _class(name: str) -> type:
    if not name.startswith(PREFIX):
        raise EstimatorError(f"{name or 'no class'}: a class of River is named river.MODULE.CLASS")
    module, _, last = name.removeprefix(PREFIX).partition(".")
    if module not in MODULES:
        raise EstimatorError(
            f"{name}: no such module; the modules are {', '.join(sorted(MODULES))}"
        )
    kind = getattr(MODULES[module], last, None)
    if last.startswith("_") or not isinstance(kind, type) or not issubclass(kind, Base):
        raise EstimatorError(f"{name}: River has no such class")
    return kind


class Runnable:
    """A common interface to an estimator of River for vectors, one number, or drift.

    The score of a drift detector is 1 after a value with which it found a drift, else 0.
    """

    def __init__(self, row: ShadowTable) -> None:
        model: Any = made(row)
        self._model = model
        self._is_drift = isinstance(model, DriftDetector)
        self._of_one = self._is_drift or isinstance(model, SupervisedAnomalyDetector)
        if not self._of_one and not isinstance(model, AnomalyDetector):
            raise EstimatorError(f"{type(model).__name__} finds neither anomalies nor drift")
        if self._of_one and not row.is_of_each and len(row.inputs) != 1:
            raise EstimatorError(f'{type(model).__name__} takes one vital: say when = "reading"')
        if isinstance(model, Base) and model._is_stochastic:
            raise EstimatorError(
                f"{type(model).__name__}: give it a seed, so that a replay gives the same"
            )

    def score_one(self, x: Vector) -> float:
        """Return River's score.

        Raises ValueError if there is none, or no finite one.
        """
        try:
            score = float(self._scored(x))
        except Exception as error:  # noqa: BLE001  # an estimator in a trial may fail in any way
            raise ValueError(f"no score: {type(error).__name__}") from None
        if not isfinite(score):
            raise ValueError("no finite score")
        return score

    def _scored(self, x: Vector) -> float:
        if self._is_drift:
            return float(self._model.drift_detected)
        if self._of_one:
            return self._model.score_one({}, next(iter(x.values())))  # type: ignore[no-any-return]
        return self._model.score_one(x)  # type: ignore[no-any-return]

    def learn_one(self, x: Vector) -> None:
        """Learn a vector.

        Raises ValueError if the estimator fails.
        """
        try:
            if self._is_drift:
                self._model.update(next(iter(x.values())))
            elif self._of_one:
                self._model.learn_one({}, next(iter(x.values())))
            else:
                self._model.learn_one(dict(x))
        except Exception as error:  # noqa: BLE001  # the same
            raise ValueError(f"not learned: {type(error).__name__}") from None


def trial(row: ShadowTable) -> list[Vector]:
    """Return the fixed vectors for trying an estimator, the same everywhere and no two alike."""
    names = row.inputs[:1] if row.is_of_each else row.inputs
    return [
        {
            name: 80.0 + 10.0 * place + (step * (7919 + 104729 * place) % 9973) / 997.3
            for place, name in enumerate(names)
        }
        for step in range(TRIED)
    ]


def fault_of(row: ShadowTable) -> str | None:
    """Return why an estimator cannot be run, or None.

    It must be made, give scores, and give the same score after the same vectors.
    """
    try:
        scoring = Runnable(row)
        silent = Runnable(row)
        vectors = trial(row)
        for x in vectors[:-8]:
            _score(scoring, x)
            scoring.learn_one(x)
            silent.learn_one(x)
        for x in vectors[-8:]:
            if _score(scoring, x) != _score(silent, x):
                return (
                    "its score is not the same after the same vectors: scoring must change nothing"
                )
        if all(_score(silent, x) is None for x in vectors):
            return "it gives no score for any vector"
    except (EstimatorError, ValueError) as error:
        return str(error)
    return None


def _score(runnable: Runnable, x: Vector) -> float | None:
    try:
        return runnable.score_one(x)
    except ValueError:
        return None

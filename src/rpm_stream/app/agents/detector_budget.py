"""Measures the cost of each detector in shadow before the first record, and reports slow ones.

The cost is measured on fixed vectors and includes the learning of the restored detector. It is
only logged and counted. What a row scores never depends on it, so a replay and another machine
give the same. Live detectors are not measured.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import cycle, islice
from time import process_time
from typing import TYPE_CHECKING, Final

import structlog

from rpm_stream.app.runtime.metrics import DETECTORS_OFF, DETECTORS_SLOW
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.scoring import ShadowTable

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()
RUNS: Final = 3
"""How many times the cost is measured. The cheapest measurement counts.

Another process that takes the core for a while adds nothing to the cost of the detector.
"""


def report_costs(
    knowledge: Knowledge, cost: Callable[[str, ShadowTable], float] | None = None
) -> None:
    """Log and count the rows that take longer than their ``budget_us``. Count those that are off.

    ``cost`` returns the microseconds of CPU that one vector costs a row. None measures them.
    """
    table = knowledge.detectors
    for name, row in sorted(table.shadow.items()):
        DETECTORS_OFF.labels(name).set(name in table.off)
        if name in table.off:
            continue
        taken = (cost or cost_us)(name, row)
        DETECTORS_SLOW.labels(name).set(taken > row.budget_us)
        if taken > row.budget_us:
            log.warning(
                "judge.detector_slow",
                detector=name,
                cost_us=round(taken),
                budget_us=row.budget_us,
            )


def cost_us(name: str, row: ShadowTable) -> float:
    """Measure the microseconds of CPU that scoring and learning one vector take, once warm.

    The detector is rebuilt at fixed points (``keep``), and the measurement covers exactly one of
    them. It ends early where the detector is ten times over its budget.
    """
    return min(_once(name, row) for _ in range(RUNS))


def _once(name: str, row: ShadowTable) -> float:
    from rpm_stream.knowledge.estimators import trial  # River is slow to load
    from rpm_stream.score.detectors.protocol import Feature
    from rpm_stream.score.detectors.relearned import Relearned

    names = row.inputs[:1] if row.is_of_each else row.inputs
    detector = Relearned(row, name, tuple(Feature(vital=vital, resolution=1.0) for vital in names))
    vectors = list(islice(cycle(trial(row)), 2 * row.keep))
    for x in vectors[: row.keep]:
        detector.learn_one(x)
    begin = process_time()
    most = 10 * row.budget_us * row.keep / 1e6
    for done, x in enumerate(vectors[row.keep :], start=1):
        with suppress(ValueError):  # this vector has no score
            detector.score_one(x)
        detector.learn_one(x)
        if process_time() - begin > most:
            return (process_time() - begin) / done * 1e6
    return (process_time() - begin) / row.keep * 1e6

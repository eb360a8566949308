"""Measures the cost of each detector in shadow before the first record, and switches off slow ones.

The cost is measured on fixed vectors and includes the learning of the restored detector. So a
process runs a row from its first record to its last, or not at all, and the results of a row never
depend on the load of the machine. Live detectors are not measured, because they always run.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import cycle, islice
from time import process_time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from rpm_stream.app.runtime.metrics import DETECTORS_OFF
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.scoring import ShadowTable

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()
RUNS: Final = 3
"""How many times the cost is measured. The cheapest measurement counts.

Another process that takes the core for a while adds nothing to the cost of the detector.
"""


def within_budget(
    knowledge: Knowledge, cost: Callable[[str, ShadowTable], float] | None = None
) -> Knowledge:
    """Return the tables with the rows over their ``budget_us`` switched off.

    Each such row is logged and counted. ``cost`` returns the microseconds of CPU that one vector
    costs a row. None measures them.
    """
    table = knowledge.detectors
    slow = set()
    for name in sorted(table.shadow.keys() - table.off):
        row = table.shadow[name]
        taken = (cost or cost_us)(name, row)
        DETECTORS_OFF.labels(name).set(taken > row.budget_us)
        if taken > row.budget_us:
            slow.add(name)
            log.warning(
                "judge.detector_off",
                detector=name,
                cost_us=round(taken),
                budget_us=row.budget_us,
            )
    if not slow:
        return knowledge
    return msgspec.structs.replace(
        knowledge, detectors=msgspec.structs.replace(table, off=table.off | slow)
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

    names = row.inputs[:1] if row.each else row.inputs
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

"""All results of labelled stays at one cadence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpm_stream.evaluation.cohort import Cohort
from rpm_stream.evaluation.report import CadenceResult, CohortSize, SubgroupResult
from rpm_stream.evaluation.scored import SUBGROUP_AT, Bench, subgroup_results
from rpm_stream.evaluation.shown import show
from rpm_stream.evaluation.stays import Stay, Traits
from rpm_stream.knowledge.knowledge import Knowledge


def assess(
    stays: Sequence[Stay], people: Mapping[str, Traits], knowledge: Knowledge
) -> CadenceResult:
    """Return the results. The same stays give the same results, in whatever order they come."""
    ordered = sorted(stays, key=lambda stay: stay.label.patient)
    cohort = Cohort([stay.label for stay in ordered])
    bench = Bench(cohort, ordered)
    scores = []
    subgroups: list[SubgroupResult] = []
    for name in bench.names():
        matrix = bench.scores(name)
        reaches = bench.reaches(matrix)
        scores.append(bench.result(name, matrix, reaches))
        subgroups += subgroup_results(cohort, name, reaches[SUBGROUP_AT], dict(people))
    return CadenceResult(
        size=CohortSize(
            stays=len(ordered),
            onsets=len(cohort.onsets),
            patient_days=cohort.days,
            positive_hours=int(cohort.positive.sum()),
        ),
        scores=tuple(scores),
        shown=show(cohort, ordered, knowledge, (bench.counts, bench.random_share)),
        subgroups=tuple(subgroups),
    )

"""The table of rules over a patient as a whole: the one place that lists them. To add one: its
file, its line here.

Their inputs differ from those of ``score/rules/table.py``: they look at no moment's readings but at
time, the registry and what is known of the patient, so they find something where nothing was
measured. All else that is asked of a rule is asked of these too. The order is that of looking.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.judge_failure import NotJudged
from rpm_stream.pipeline.patient_rule import PatientRule
from rpm_stream.pipeline.settings import Settings
from rpm_stream.pipeline.silence import Silence

PATIENT_RULES: Final[tuple[Callable[[Knowledge, Registry], PatientRule], ...]] = (
    Silence,
    Settings,
    NotJudged,
)

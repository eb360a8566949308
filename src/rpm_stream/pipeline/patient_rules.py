"""The table of rules over a patient as a whole.

To add one, write its file and add its line here. The inputs differ from those of
``score/rules/table.py``. These rules do not look at the readings of a moment but at time, the
registry and what is known of the patient. So they find something where nothing was measured. All
other requirements for a rule apply to these too. The table's order is the order of looking.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.judge_failure import NotJudged
from rpm_stream.pipeline.patient_rule import PatientRule
from rpm_stream.pipeline.settings import SettingsRule
from rpm_stream.pipeline.silence import Silence

PATIENT_RULES: Final[tuple[Callable[[Knowledge, Registry], PatientRule], ...]] = (
    Silence,
    SettingsRule,
    NotJudged,
)

"""The table of rules over readings: the one place that lists them.

A new rule is a file and a line here. README's table "To add a …" names what else it needs.

The order is that in which the rules run, and that of their findings. The limits come first, because
they enter the readings into the histories that the others read. The forecast of glucose comes
before the rates, which ask it whether the sensor may be pressed. Signal quality comes after the
rules whose findings it comments on. Rules that look at a patient as a whole, by time or by the
registry, have other inputs and are in ``pipeline/patient_rules.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rpm_stream.score.rules.device_rules import DeviceRules
from rpm_stream.score.rules.learned import LearnedRule
from rpm_stream.score.rules.limit_rule import LimitRule
from rpm_stream.score.rules.news2_total import Totals
from rpm_stream.score.rules.predicted_glucose import PredictedGlucose
from rpm_stream.score.rules.protocol import MomentRule, RuleTables
from rpm_stream.score.rules.rates import Rates
from rpm_stream.score.rules.signal_quality import Quality
from rpm_stream.score.rules.trends import Trends

RULES: Final[tuple[Callable[[RuleTables], MomentRule], ...]] = (
    LimitRule,
    Totals,
    LearnedRule,
    Trends,
    PredictedGlucose,
    Rates,
    Quality,
    DeviceRules,
)

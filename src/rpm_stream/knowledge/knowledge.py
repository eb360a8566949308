"""All tables together, as every stage gets them.

A module that only uses the tables imports this one. The package itself also reads and checks them.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from rpm_stream.knowledge.alerting import DeviceRuleTable, Priorities
from rpm_stream.knowledge.charts import Child, Maternity
from rpm_stream.knowledge.deterioration import DeteriorationTable
from rpm_stream.knowledge.devices import DeviceModel
from rpm_stream.knowledge.forecasts import GlucoseForecast
from rpm_stream.knowledge.scoring import Detectors, Limits, News2
from rpm_stream.knowledge.signal import Signal
from rpm_stream.knowledge.tables import (
    Characteristic,
    Placeholders,
    Spelling,
    UnitTable,
    Vital,
)
from rpm_stream.knowledge.trends import TrendsTable


class Knowledge(msgspec.Struct, frozen=True):
    """All tables, immutable and made by ``load``."""

    vitals: dict[str, Vital]
    units: dict[str, UnitTable]
    spellings: dict[str, Spelling]
    placeholders: Placeholders
    characteristics: dict[str, Characteristic]
    signal: Signal
    news2: News2
    limits: Limits
    maternity: Maternity
    child: Child
    detectors: Detectors
    priorities: Priorities
    device_rules: DeviceRuleTable
    devices: dict[str, DeviceModel]
    trends: TrendsTable
    deterioration: DeteriorationTable
    glucose_forecast: GlucoseForecast

    def convert(self, value: Decimal, unit: str, to: str) -> Decimal:
        """Return ``value`` converted from ``unit`` to ``to``, both units of one vital.

        The result is exact up to the 28th digit of a quotient.
        """
        if unit == to:
            return value
        if row := self.units.get(unit):
            value = (value - row.subtract) * row.multiply / row.divide
            unit = row.to
        if unit == to:
            return value
        back = self.units[to]
        return value * back.divide / back.multiply + back.subtract

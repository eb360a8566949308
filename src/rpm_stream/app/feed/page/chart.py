"""A chart as options of ECharts.

The functions are pure. Times stay UTC, and the browser shows its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rpm_stream.app.feed.chart import ChartPoint, FeedChart, LimitLine
from rpm_stream.app.feed.page.style import COLOURS

LINE = "#33506e"
EVIDENCE = "#b3161b"
SOFT = "#51606e"
MARGIN = 0.08  # as a part of the span of values, above and below


def options(chart: FeedChart, opened_at: datetime) -> dict[str, Any]:
    """Return the options of a chart.

    The vital is a line, the evidence large diamonds over it, and the limits dashed lines with their
    labels.
    """
    low, high = _span(chart)
    unit = f" ({chart.unit_words})" if chart.unit_words else ""
    return {
        "animation": False,
        "aria": {"enabled": True, "label": {"description": describe(chart)}},
        "grid": {"left": 48, "right": 16, "top": 50, "bottom": 28},
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {
            "top": 0,
            "right": 8,
            "data": ["Measured", "Evidence"],
            "selectedMode": False,
            "itemHeight": 10,
        },
        "xAxis": {
            "type": "time",
            "min": _ms(chart.since),
            "max": _ms(chart.until),
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": {
            "type": "value",
            "name": f"{chart.title}{unit}",
            "nameGap": 22,
            "nameTextStyle": {"align": "left", "color": SOFT},
            "axisLabel": {"showMinLabel": False, "showMaxLabel": False},
            "min": low,
            "max": high,
            "splitLine": {"lineStyle": {"color": "#e9edf0"}},
        },
        "dataZoom": [{"type": "inside", "zoomOnMouseWheel": "ctrl"}],
        "series": [_measured(chart, opened_at), _evidence(chart)],
    }


def describe(chart: FeedChart) -> str:
    """Return the chart as a sentence, for readers who do not see it."""
    values = [point.value for point in chart.points if point.value is not None]
    if not values:
        return f"{chart.title}: no values."
    limits = "; ".join(line.label for line in chart.limits) or "no limits"
    span = f"{min(values):g} to {max(values):g} {chart.unit_words}, last {values[-1]:g}"
    absent = len(chart.points) - len(values)
    without = f" {absent} measurements came without a value." if absent else ""
    return f"{chart.title}: {len(values)} values from {span}. {limits}.{without}"


def _measured(chart: FeedChart, opened_at: datetime) -> dict[str, Any]:
    opened = {
        "xAxis": _ms(opened_at),
        "lineStyle": {"color": SOFT, "type": "solid", "width": 1},
        "label": {"formatter": "opened", "position": "end", "color": SOFT, "fontSize": 11},
    }
    return {
        "name": "Measured",
        "type": "line",
        "data": [_datum(point) for point in chart.points],
        "symbol": "circle",
        "symbolSize": 6,
        "showSymbol": len(chart.points) <= 150,
        "lineStyle": {"color": LINE, "width": 1.8},
        "itemStyle": {"color": LINE},
        "markLine": {
            "silent": True,
            "symbol": "none",
            "data": [*map(_limit, chart.limits), opened],
        },
    }


def _evidence(chart: FeedChart) -> dict[str, Any]:
    return {
        "name": "Evidence",
        "type": "scatter",
        "data": [
            _datum(point) for point in chart.points if point.evidence and point.value is not None
        ],
        "symbol": "diamond",
        "symbolSize": 15,
        "itemStyle": {"color": EVIDENCE, "borderColor": "#fff", "borderWidth": 1.5},
        "z": 5,
    }


def _limit(line: LimitLine) -> dict[str, Any]:
    side = "insideStartTop" if line.side == "high" else "insideStartBottom"
    colour = COLOURS[line.priority]
    return {
        "yAxis": line.value,
        "lineStyle": {"color": colour, "type": "dashed", "width": 1.3},
        "label": {
            "formatter": f"{line.label} ({line.owner})",
            "position": side,
            "distance": [4, 6],
            "color": colour,
            "fontSize": 11,
        },
    }


def _datum(point: ChartPoint) -> list[Any]:
    return [_ms(point.at), None if point.value is None else round(point.value, 4)]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _span(chart: FeedChart) -> tuple[float, float]:
    """Return the range of the value axis: all values and limits, and a little more."""
    values = [point.value for point in chart.points if point.value is not None]
    values += [line.value for line in chart.limits]
    if not values:
        return 0.0, 1.0
    low = min(values)
    high = max(values)
    more = (high - low or abs(high) or 1.0) * MARGIN
    return _floor(low - more), _floor(high + more) + 1


def _floor(value: float) -> float:
    return float(int(value // 1))

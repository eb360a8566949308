"""Measure how often each signal-quality rule raises an alert on ordinary data.

Run: ``RPM_SHARED=... python benchmarks/signal_quality.py [--quick]`` (``--quick``: the first 1,000
rows of one person of each file).

It counts alerts of the groups ``device:<kind>`` for each patient-week of 200 hospital stays (hourly
vitals) and of 5 people with a glucose sensor. The row "clock" is stored values that were sent
again. No fault of these devices was noted, so a rule that raises more than one alert in a
patient-week has a threshold that is too near.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, islice
from pathlib import Path

import msgspec
from rig import options

from rpm_stream.ingest.csv.rows import frames, rows
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import Replay
from rpm_stream.score.rules.device_runs import KINDS

SHARED = Path(os.environ.get("RPM_SHARED", Path(__file__).parents[2] / "shared"))
FILES = (("sepsis2019.csv.gz", 200), ("cgm.csv.gz", 5))
QUICK_ROWS = 1_000
WEEK = 7 * 86400


def people(path: Path, most: int, most_rows: int | None) -> Iterator[list[str]]:
    """Yield the first lines of each of the first people of a file, with its header."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        header = next(lines)
        for number, (_, group) in enumerate(
            groupby(lines, key=lambda line: line.partition(",")[0])
        ):
            if number == most:
                return
            yield [header, *islice(group, most_rows)]


def weeks(lines: list[str]) -> float:
    """Return the weeks from the first to the last row, at least an hour."""
    first, last = (datetime.fromisoformat(lines[place].split(",")[1]) for place in (1, -1))
    return max((last - first).total_seconds(), 3600) / WEEK


def told(lines: list[str]) -> Counter[str]:
    """Count the alerts of each kind that one person's data opens."""
    run = Replay(shipped(), Registry(()), emit=("alert",))
    output = [line.record for found in frames(rows(iter(lines))) for line in run.csv(found)]
    alerts = [
        msgspec.json.decode(record)
        for record in [*output, *(line.record for line in run.finish(None))]
    ]
    return Counter({alert["id"]: alert["group"] for alert in alerts}.values())


def main() -> None:
    quick = options.parser(__doc__).parse_args().quick
    print(f"{'a patient-week':24}" + "".join(f"{name.partition('.')[0]:>14}" for name, _ in FILES))
    table = []
    lasted = []
    for name, most in FILES:
        found: Counter[str] = Counter()
        total = 0.0
        for lines in people(
            SHARED / "data" / name, 1 if quick else most, QUICK_ROWS if quick else None
        ):
            found += told(lines)
            total += weeks(lines)
        table.append(found)
        lasted.append(total)
    print(f"{'(patient-weeks)':24}" + "".join(f"{total:14.1f}" for total in lasted))
    for group in (*(f"device:{kind}" for kind in KINDS), "vital_signs", "glucose"):
        rates = (found[group] / total for found, total in zip(table, lasted, strict=True))
        print(f"{group:24}" + "".join(f"{rate:14.2f}" for rate in rates))


if __name__ == "__main__":
    main()

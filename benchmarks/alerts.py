"""Count the alerts that recorded data gives.

Run: ``python benchmarks/alerts.py [FILE.csv[.gz]…] [--look-after MINUTES] [--quick]``.

The files are replayed as ``rpm-stream replay`` does it, with a person who looks at each high alert
so many minutes after it opened (a high alert that was not seen does not end by itself). Printed for
each patient-day: alerts by their highest priority, how often a person is called (an alert opens,
rises, gets worse or returns), and the share of the time in which an alert of a patient is open and
not over. Alerts about devices are left out. Without a file it takes the recordings beneath
RPM_SHARED. ``--quick`` takes the first 500 frames of each file.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
from rig import options

from rpm_stream.ingest.csv.rows import CsvFrame, frames, rows
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import Replay, ReplayLine
from rpm_stream.records import Action, Alert

RECORDINGS = ("sepsis2019.csv.gz", "sepsis2019_home.csv.gz", "cgm.csv.gz")
CALLS = ("opened", "raised", "reopened", "worse", "returned")
QUICK_FRAMES = 500
NOT_OF_PATIENTS = ("device:", "settings")
Span = tuple[datetime, datetime]


class Ward:
    """All patients of a file, and the person who looks at their high alerts."""

    def __init__(self, look_after: timedelta) -> None:
        self._run = Replay(shipped(), Registry(), emit=("alert",))
        self._look_after = look_after
        self._to_see: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self.alerts: dict[str, Alert] = {}
        self.spans: dict[str, Span] = {}
        self.open_since: dict[str, datetime] = {}
        self.listed: dict[str, list[Span]] = defaultdict(list)
        self.calls: Counter[str] = Counter()

    def frame(self, frame: CsvFrame) -> None:
        """Judge a frame of the file. Before it, the person looks at the alerts that are due."""
        sent_at = msgspec.json.decode(frame.value, type=_Sent).sent_at
        first, _ = self.spans.get(frame.patient, (sent_at, sent_at))
        self.spans[frame.patient] = (first, sent_at)
        waiting = self._to_see.pop(frame.patient, [])
        self._to_see[frame.patient] = [each for each in waiting if each[0] > sent_at]
        for at, alert in sorted(each for each in waiting if each[0] <= sent_at):
            action = Action(patient=frame.patient, alert=alert, action="see", who="nurse", at=at)
            self._take(self._run.message(msgspec.json.encode(action)))
        self._take(self._run.csv(frame))

    def _take(self, lines: Iterable[ReplayLine]) -> None:
        for line in lines:
            alert = msgspec.json.decode(bytes(line.record), type=Alert)
            if not alert.group.startswith(NOT_OF_PATIENTS):
                self._note(alert, self.alerts.get(alert.id))

    def _note(self, alert: Alert, before: Alert | None) -> None:
        self.alerts[alert.id] = alert
        known = len(before.history) if before is not None else 0
        calls = [step for step in alert.history[known:] if step.event in CALLS]
        self.calls.update(step.priority for step in calls)
        if calls and alert.priority == "high" and alert.state == "open":
            self._to_see[alert.patient].append((alert.updated_at + self._look_after, alert.id))
        goes_on = alert.state != "resolved" and not alert.over
        if goes_on:
            self.open_since.setdefault(alert.id, alert.updated_at)
        elif (since := self.open_since.pop(alert.id, None)) is not None:
            self.listed[alert.patient].append((since, alert.updated_at))

    def listed_share(self) -> float:
        """Return the share of all patients' time in which something is open and not over."""
        for identity, since in self.open_since.items():
            patient = self.alerts[identity].patient
            self.listed[patient].append((since, self.spans[patient][1]))
        told = sum(
            (end - start for spans in self.listed.values() for start, end in _joined(spans)),
            timedelta(),
        )
        return told / sum((end - start for start, end in self.spans.values()), timedelta())


class _Sent(msgspec.Struct):
    sent_at: datetime


def _joined(spans: list[Span]) -> Iterator[Span]:
    start, end = min(spans)
    for one in sorted(spans):
        if one[0] > end:
            yield start, end
            start, end = one
        end = max(end, one[1])
    yield start, end


def _opened(path: Path) -> IO[str]:
    return gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")


def main() -> None:
    """Print the figures of each file."""
    parser = options.parser(__doc__)
    data = Path(os.environ.get("RPM_SHARED", "../shared")) / "data"
    recordings = [path for name in RECORDINGS if (path := data / name).exists()]
    parser.add_argument("files", nargs="*", type=Path, default=recordings)
    parser.add_argument("--look-after", type=float, default=15, metavar="MINUTES")
    asked = parser.parse_args()
    if not asked.files:
        print(f"no recordings beneath {data}: name files, or set RPM_SHARED")
    for path in asked.files:
        ward = Ward(timedelta(minutes=asked.look_after))
        with _opened(path) as file:
            for frame in islice(frames(rows(file)), QUICK_FRAMES if asked.quick else None):
                if isinstance(frame, CsvFrame):
                    ward.frame(frame)
        days = sum((end - start for start, end in ward.spans.values()), timedelta()) / timedelta(
            days=1
        )
        kinds = Counter(alert.priority for alert in ward.alerts.values())
        print(f"{path.name}: {len(ward.spans)} patients, {days:.0f} patient-days")
        for name, counts in (("alerts", kinds), ("calls", ward.calls)):
            parts = ", ".join(
                f"{each} {counts[each] / days:.2f}" for each in ("high", "medium", "low")
            )
            print(f"  {name} a patient-day {counts.total() / days:.2f} ({parts})")
        print(f"  share of the time with something open {ward.listed_share():.2f}")


if __name__ == "__main__":
    main()

"""Measure the glucose forecast and the alerts about low glucose on recorded people.

Run: ``python benchmarks/glucose.py [FILE.csv[.gz]] [--look-after MINUTES] [--curve] [--quick]``.

The file (``cgm.csv.gz`` beneath RPM_SHARED) is replayed person by person, as ``rpm-stream replay``
does it, with a person who looks at each high alert so many minutes after it opened. Every other
person by name was fitted, the rest were not, and both groups are printed. ``--curve`` repeats the
others for several chances from which a low value is reported. ``--quick`` takes the first 2,000
readings of each person.

- *Forecast*: the mean absolute error in mg/dL against the reading nearest to the time that was
  forecast, at most 2.6 minutes beside it; *persistence* is the error of the present value. *Within*
  is the share of outcomes inside the interval, and *width* its mean width.
- *Event*: values below 70 for 15 minutes or longer. Parts less than 30 minutes apart are one event.
- *Alarm*: an alert about low glucose opens or returns after it was over.
- *Told*: such an alert was open when the event began, or opened in the 60 minutes before.
  *Rung*: it opened in these 60 minutes. *Lead* is the median time from its opening to the event.
- *Precise*: the share of alarms with a value below 70 at that time or within 30 (60) minutes.
- *High*: the same for values below 54, and for alerts that are high before.
"""

from __future__ import annotations

import csv
import gzip
import os
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import IO

import msgspec
from rig import options

from rpm_stream.ingest.csv.rows import CsvFrame, frames, rows
from rpm_stream.knowledge import Knowledge, shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import Replay, ReplayLine
from rpm_stream.records import Action, Alert, Score

RECORDING = "cgm.csv.gz"
QUICK_READINGS = 2_000
CURVE = (0.22, 0.36, 0.5)
BESIDE = 2.6
LOW_SIDE = 180  # the forecast asks for a low value below this
WINDOW = 60


class Person:
    """One recorded person: values, scores, and when alerts about low glucose were open."""

    def __init__(self, knowledge: Knowledge, look_after: float) -> None:
        self._run = Replay(knowledge, Registry(), emit=("alert", "score"))
        self._look_after = timedelta(minutes=look_after)
        self._to_see: list[tuple[datetime, str]] = []
        self._known: Counter[str] = Counter()
        self.at: list[float] = []
        self.values: list[float] = []
        self.scores: list[Score] = []
        self.alarms: list[float] = []
        self.high: list[float] = []
        self.open: list[list[float]] = []  # begin and end
        self._is_open = False

    def take(self, patient: str, frame: CsvFrame, at: datetime, value: float) -> None:
        """Judge one reading. Before it, the person who looks sees the alerts that are due."""
        self.at.append(minutes(at))
        self.values.append(value)
        due = [each for each in self._to_see if each[0] <= at]
        self._to_see = [each for each in self._to_see if each[0] > at]
        for seen_at, alert in due:
            action = Action(patient=patient, alert=alert, action="see", who="nurse", at=seen_at)
            self._note_all(self._run.message(msgspec.json.encode(action)))
        self._note_all(self._run.csv(frame))

    def _note_all(self, lines: Sequence[ReplayLine] | Iterator[ReplayLine]) -> None:
        for line in lines:
            if line.type == "score":
                score = msgspec.json.decode(bytes(line.record), type=Score)
                if score.detector in DETECTORS:
                    self.scores.append(score)
                continue
            alert = msgspec.json.decode(bytes(line.record), type=Alert)
            if alert.group == "glucose":
                self._note(alert)

    def _note(self, alert: Alert) -> None:
        at = minutes(alert.updated_at)
        is_low = self.values[-1] < LOW_SIDE
        steps = alert.history[self._known[alert.id] :]
        self._known[alert.id] = len(alert.history)
        for step in steps:
            if step.event in ("opened", "returned") and is_low:
                self.alarms.append(at)
            if step.event in ("opened", "returned", "raised") and step.priority == "high":
                if is_low:
                    self.high.append(at)
                self._to_see.append((alert.updated_at + self._look_after, alert.id))
        goes_on = alert.state != "resolved" and not alert.over
        if goes_on and not self._is_open:
            self.open.append([at, at])
        self._is_open = goes_on
        if self.open:
            self.open[-1][1] = max(self.open[-1][1], at)

    def end(self) -> None:
        """Close what is still open."""
        if self._is_open:
            self.open[-1][1] = self.at[-1]

    @property
    def days(self) -> float:
        """Days with values; a gap counts 30 minutes."""
        return sum(min(b - a, 30) for a, b in zip(self.at, self.at[1:], strict=False)) / 1440


DETECTORS = {"glucose_forecast_30": 30, "glucose_forecast_60": 60}


def minutes(at: datetime) -> float:
    """Return a time in minutes since 1970."""
    return at.timestamp() / 60


def events(at: Sequence[float], values: Sequence[float], below: float) -> list[float]:
    """Return when the events below a limit began."""
    runs: list[list[float]] = []
    for moment, value in zip(at, values, strict=True):
        if value < below:
            if runs and moment - runs[-1][1] < 30:
                runs[-1][1] = moment
            else:
                runs.append([moment, moment])
    return [first for first, last in runs if last - first >= 14.9]


def outcome(person: Person, at: float) -> float | None:
    """Return the value nearest to a time, or None if there is none near."""
    place = bisect_left(person.at, at)
    near = [each for each in (place - 1, place) if 0 <= each < len(person.at)]
    best = min(near, key=lambda each: abs(person.at[each] - at))
    return person.values[best] if abs(person.at[best] - at) <= BESIDE else None


def forecast_lines(people: dict[str, Person]) -> Iterator[str]:
    """Yield a line for each horizon."""
    for detector, ahead in DETECTORS.items():
        errors: list[float] = []
        still: list[float] = []
        widths: list[float] = []
        inside: list[bool] = []
        by_person: list[float] = []
        error_by_person: list[float] = []
        for person in people.values():
            own: list[bool] = []
            own_errors: list[float] = []
            for score in person.scores:
                at = minutes(score.measured_at)
                came = outcome(person, at + ahead) if score.detector == detector else None
                if came is None:
                    continue
                own_errors.append(abs(came - score.score))
                still.append(abs(came - float(score.value or 0)))
                widths.append(score.score_max - score.score_min)
                own.append(score.score_min <= came <= score.score_max)
            inside += own
            errors += own_errors
            if own:
                by_person.append(mean(own))
                error_by_person.append(mean(own_errors))
        yield (
            f"  {ahead} minutes: {len(errors):,} forecasts, error {mean(errors):.2f}, persistence"
            f" {mean(still):.2f}, RMSE {mean(each * each for each in errors) ** 0.5:.1f} and"
            f" {mean(each * each for each in still) ** 0.5:.1f}, within {mean(inside):.3f}"
            f" (by person {min(by_person):.3f} to {max(by_person):.3f}), width {mean(widths):.1f},"
            f" error by person {min(error_by_person):.1f} to {max(error_by_person):.1f}"
        )


def is_followed(low: Sequence[float], at: float, within: float) -> bool:
    """Return whether a low value comes at this time or within so many minutes."""
    place = bisect_left(low, at)
    return place < len(low) and low[place] - at <= within


def alarm_line(people: dict[str, Person], below: float, is_high: bool) -> str:
    """Return the figures of the alarms about values below a limit."""
    counts: Counter[str] = Counter()
    leads: list[float] = []
    standing: list[float] = []
    rates: list[float] = []
    for person in people.values():
        alarms = person.high if is_high else person.alarms
        low = [at for at, value in zip(person.at, person.values, strict=True) if value < below]
        value_at = dict(zip(person.at, person.values, strict=True))
        counts["alarms"] += len(alarms)
        rates.append(len(alarms) / person.days)
        for at in alarms:
            counts["in 30"] += is_followed(low, at, 30.5)
            counts["in 60"] += is_followed(low, at, 60.5)
            if value_at.get(at, 0) >= below:
                counts["foretold"] += 1
                counts["foretold in 30"] += is_followed(low, at, 30.5)
        for begin in events(person.at, person.values, below):
            counts["events"] += 1
            recent = [at for at in alarms if begin - WINDOW <= at < begin]
            since = [span[0] for span in person.open if span[0] < begin <= span[1]]
            if is_high:
                since = [at for at in alarms if any(each <= at < begin for each in since)]
            if recent:
                counts["rung"] += 1
                leads.append(begin - recent[0])
            if recent or since:
                counts["told"] += 1
                standing.append(begin - min(recent + since))
    days = sum(person.days for person in people.values())
    many = max(1, counts["events"])
    rung = max(1, counts["alarms"])
    rates.sort()
    return (
        f"  below {below}: {counts['events']} events on {days:,.0f} days; told"
        f" {counts['told'] / many:.3f}, rung {counts['rung'] / many:.3f}, lead"
        f" {median(leads or [0]):.1f} (told {median(standing or [0]):.1f}) minutes;"
        f" {counts['alarms'] / days:.2f} alarms a day (by person {rates[0]:.2f} to"
        f" {rates[-1]:.2f}); precise {counts['in 30'] / rung:.2f} in 30,"
        f" {counts['in 60'] / rung:.2f} in 60 minutes; foretold alone"
        f" {counts['foretold'] / days:.2f} a day,"
        f" {counts['foretold in 30'] / max(1, counts['foretold']):.2f}"
    )


def readings(path: Path) -> dict[str, list[tuple[datetime, float]]]:
    """Return the readings of each person of a file."""
    found: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    with _opened(path) as file:
        for row in csv.DictReader(file):
            if row["vital"] == "glucose_interstitial" and row["value"]:
                at = datetime.fromisoformat(row["measured_at"])
                found[row["patient"]].append((at, float(row["value"])))
    return found


def replayed(patient: str, values: Sequence[tuple[datetime, float]], person: Person) -> Person:
    """Replay one person."""
    lines = ["patient,measured_at,vital,value,unit"]
    lines += [
        f"{patient},{at.isoformat()},glucose_interstitial,{value},mg/dL" for at, value in values
    ]
    for frame, (at, value) in zip(
        (each for each in frames(rows(iter(lines))) if isinstance(each, CsvFrame)),
        values,
        strict=True,
    ):
        person.take(patient, frame, at, value)
    person.end()
    return person


def with_least(least: float) -> Knowledge:
    """Return the tables with another chance from which a low value is reported."""
    tables = shipped()
    low, very_low = tables.glucose_forecast.chance
    ratio = low.withdraw / low.least
    low = msgspec.structs.replace(low, least=least, withdraw=least * ratio)
    forecast = msgspec.structs.replace(tables.glucose_forecast, chance=(low, very_low))
    return msgspec.structs.replace(tables, glucose_forecast=forecast)


def _opened(path: Path) -> IO[str]:
    return gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")


def main() -> None:
    """Print the figures of both groups, then the curve."""
    parser = options.parser(__doc__)
    data = Path(os.environ.get("RPM_SHARED", "../shared")) / "data" / RECORDING
    parser.add_argument("file", nargs="?", type=Path, default=data)
    parser.add_argument("--look-after", type=float, default=15, metavar="MINUTES")
    parser.add_argument("--curve", action="store_true")
    asked = parser.parse_args()
    if not asked.file.exists():
        print(f"no recording at {asked.file}: name a file, or set RPM_SHARED")
        return
    known = readings(asked.file)
    most = QUICK_READINGS if asked.quick else None
    names = sorted(known)

    def group(names: Sequence[str], tables: Knowledge) -> dict[str, Person]:
        return {
            name: replayed(name, list(islice(known[name], most)), Person(tables, asked.look_after))
            for name in names
        }

    for title, some in (("others", names[1::2]), ("fitted", names[::2])):
        if not some:
            continue
        people = group(some, shipped())
        print(f"{title}: {len(people)} people")
        for line in forecast_lines(people):
            print(line)
        print(alarm_line(people, 70, is_high=False))
        print(alarm_line(people, 54, is_high=True))
    for least in CURVE if asked.curve else ():
        print(f"others, reported from a chance of {least}:")
        print(alarm_line(group(names[1::2], with_least(least)), 70, is_high=False))


if __name__ == "__main__":
    main()

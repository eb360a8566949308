"""Streams of readings as several devices of one patient send them, with every kind of news in
them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from rpm_stream.records import Origin, Reading, Readings
from support.frames import START, UNITS

# how far values of a vital lie apart from one hour to the next, as a share of the usual
WANDERS = {"heart_rate": 0.08, "pulse_rate": 0.08, "respiratory_rate": 0.08}
USUAL = {
    "heart_rate": 72.0,
    "pulse_rate": 73.0,
    "respiratory_rate": 15.0,
    "oxygen_saturation": 97.0,
    "systolic": 121.0,
    "body_temperature": 36.7,
    "glucose_interstitial": 105.0,
    "rr_interval": 0.83,
    "perfusion_index": 2.1,
    "mean_arterial": 88.0,
    "cadence": 0.0,
    "battery": 80.0,
}
DIGITS = {"body_temperature": 1, "rr_interval": 3, "perfusion_index": 1}
CHARACTERISTIC = {
    "heart_rate": "2A37",
    "rr_interval": "2A37",
    "pulse_rate": "2A5F",
    "oxygen_saturation": "2A5F",
}
BESIDE = {"heart_rate": ("rr_interval",), "oxygen_saturation": ("pulse_rate",)}
# what all values of a message are multiplied by
MOVES = {"higher": 1.22, "lower": 0.745, "unusual": 0.715, "dip": 0.965}
FLAGS = {"flag": ("demo",), "doubt": ("poor_signal",), "no contact": ("no_contact",)}
NEWS = (
    "",
    "far",  # one value far from the usual
    "shift",  # values from here on
    "flag",
    "doubt",
    "no value",
    "no contact",
    "other device",
    "other unit",
    "late",
    "pause",
    "twice",  # two values of one moment
    "again",  # the same measurement by another device
    "still",  # values that do not move
    "in steps",
    "wanders",
    "voided",  # its first reading, after it was judged
    "restart",  # of the worker, after it was judged
    "higher",  # all values, and still inside
    "lower",
    "dip",  # of a saturation
    "unusual",  # for a heart rate that wanders by 8 %
)


@dataclass
class Sent:
    """One message: so many moments, ``step`` seconds apart, ``gap`` seconds after the last."""

    vitals: Sequence[str]
    moments: int
    step: float
    gap: float
    news: str
    at: int  # the moment of the news
    noise: float = 0.006


@dataclass
class Stream:
    """What is sent, one message after another."""

    seed: int
    now: datetime = START
    offset: int = 0
    drift: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def message(self, sent: Sent) -> Readings:
        self.offset += 1
        self.now += timedelta(seconds=sent.gap)
        first = self.now - timedelta(minutes=7) if sent.news == "late" else self.now
        vitals = [
            *sent.vitals,
            *(beside for each in sent.vitals for beside in BESIDE.get(each, ())),
        ]
        readings: list[Reading] = []
        for moment in range(sent.moments):
            is_news = moment == sent.at
            if sent.news == "pause" and is_news:
                first += timedelta(hours=2)
            at = first + timedelta(seconds=moment * sent.step)
            for vital in dict.fromkeys(vitals):
                place = len(readings)
                readings.append(self._reading(vital, at, sent, is_news, place))
                if sent.news in ("twice", "again") and is_news:
                    readings.append(self._again(readings[-1], sent.news, place + 1))
        self.now = max(self.now, *(each.measured_at for each in readings))
        received = self.now + timedelta(seconds=1)
        return Readings(
            patient="p",
            frame=f"f-{self.offset}",
            partition=0,
            offset=self.offset,
            chunk=0,
            received_at=received,
            readings=tuple(readings),
        )

    def _value(self, vital: str, sent: Sent, is_news: bool) -> str:
        usual = USUAL[vital] + self.drift.get(vital, 0.0)
        if sent.news == "shift" and is_news:
            usual += self.drift.setdefault(vital, usual * self.chance.choice((-0.3, 0.25, 0.6)))
        if sent.news != "still":
            noise = WANDERS.get(vital, sent.noise) if sent.news == "wanders" else sent.noise
            usual *= 1 + self.chance.gauss(0, noise)
        if sent.news == "far" and is_news:
            usual *= self.chance.choice((0.5, 0.93, 1.25, 1.9))
        usual *= {"higher": 1.22, "lower": 0.745, "unusual": 0.715, "dip": 0.965}.get(
            sent.news, 1.0
        )
        if sent.news == "in steps":
            usual *= self.chance.choice((1.0, 1.04, 0.97))
        if vital == "oxygen_saturation":
            usual = min(100.0, usual)
        return f"{usual:.{DIGITS.get(vital, 0)}f}"

    def _reading(self, vital: str, at: datetime, sent: Sent, is_news: bool, place: int) -> Reading:
        news = sent.news if is_news else ""
        device = "other" if news == "other device" else f"of-{vital}"
        unit = UNITS.get(vital, "s")
        if news == "other unit" and vital == "body_temperature":
            unit = "[degF]"
        flags = FLAGS.get(news, ())
        has_value = news not in ("no value", "no contact")
        return Reading(
            id=f"{self.offset}-{place}",
            patient="p",
            device=device,
            vital=vital,
            value=self._value(vital, sent, is_news) if has_value else None,
            unit=unit,
            measured_at=at,
            received_at=max(at, self.now) + timedelta(seconds=1),
            utc_offset=None,
            absent=None if has_value else "error",
            flags=flags,
            attributes={"characteristic": CHARACTERISTIC.get(vital, "app")},
            origin=Origin(frame=f"f-{self.offset}", index=place, part=0),
        )

    def _again(self, reading: Reading, news: str, place: int) -> Reading:
        return msgspec.structs.replace(
            reading,
            id=f"{reading.id}-again",
            device="of-an-app" if news == "again" else reading.device,
            origin=Origin(frame=reading.origin.frame, index=place, part=0),
        )

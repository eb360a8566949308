"""A value is identified by the time that its device shows, whether or not that time counts.

No other value is lost because of that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.device import Device, counts
from support.frames import START, Record, frame, measurement, stamp, worn
from support.replaying import Output, decoded, last_alerts, new_replay, of_type

from rpm_stream.normalise.clock_skew import RUNS
from rpm_stream.normalise.seen_entries import SeenEntries
from rpm_stream.normalise.sightings import LEAST, MOST, Sightings, forget, name_of
from rpm_stream.pipeline.state_envelope import pack_device
from rpm_stream.records import Reading

DAY = 1440
EPOCH = datetime(2000, 1, 1)


def shown(at: datetime) -> bytes:
    """Return the seven bytes of a device's clock."""
    return struct.pack("<HBBBBB", at.year, at.month, at.day, at.hour, at.minute, at.second)


def seconds(at: datetime) -> int:
    return int((at.replace(tzinfo=None) - EPOCH).total_seconds())


def health(at: datetime, value: int, counter: int = 0) -> bytes:
    """Return a breathing rate: type, the stamp of a clock without a zone, number."""
    time = struct.pack("<B", 0x20) + seconds(at).to_bytes(6, "little") + bytes((0, 0x80))
    fields = struct.pack("<I", 151562) + time + struct.pack("<HI", 2784, value)
    return bytes((counter << 2 | 3,)) + struct.pack("<BHH", 1, len(fields) + 5, 0x0003) + fields


def stored_health(at: datetime, value: int) -> bytes:
    """Return the same as ``health`` from the sensor's memory, where each record has a number."""
    live = health(at, value)
    return live[:1] + struct.pack("<I", seconds(at) ^ value) + live[1:]


# Each takes a time and one of 15 to 40, and gives the payload with that time.
TIMED: dict[str, Callable[[datetime, int], bytes]] = {
    "2A35": lambda at, value: (
        struct.pack("<BHHH", 0x02, 100 + value, 60 + value, 0x07FF) + shown(at)
    ),
    "2A36": lambda at, value: struct.pack("<BHHH", 0x02, 100 + value, 0x07FF, 0x07FF) + shown(at),
    "2A1C": lambda at, value: b"\x02" + (340 + value).to_bytes(3, "little") + b"\xff" + shown(at),
    "2A1E": lambda at, value: b"\x02" + (340 + value).to_bytes(3, "little") + b"\xff" + shown(at),
    "2A5E": lambda at, value: struct.pack("<BHH", 0x01, 60 + value, 60) + shown(at),
    "2A9D": lambda at, value: struct.pack("<BH", 0x02, 16000 + value) + shown(at),
    "2A9C": lambda at, value: struct.pack("<HH", 0x0002, 200 + value) + shown(at),
    "2B34": lambda at, value: struct.pack(
        "<BHHHI", 0x42, 100 + value, 60 + value, 0x07FF, seconds(at)
    ),
    "2B35": lambda at, value: struct.pack("<BHI", 0x42, 100 + value, seconds(at)),
    "2B8B": health,
    "2BDD": stored_health,
    "2A18": lambda at, value: (
        struct.pack("<BH", 0x02, value) + shown(at) + struct.pack("<HB", 0xB050 + value, 0x11)
    ),
}


def entry(characteristic: str, payload: bytes, minutes: float) -> Record:
    return {"at": stamp(minutes), "characteristic": characteristic, "payload": payload.hex()}


def readings(*frames_done: Any) -> list[Reading]:
    return [each for done in frames_done for message in done.readings for each in message.readings]


class Sender:
    """A gateway that sends one device's values, each frame under a number of its own."""

    def __init__(self, *entries: Record) -> None:
        self.bench, self.seq = Device(*(entries or (worn(),))), 0

    def send(self, minutes: float, *entries: Record, **fields: Any) -> list[Reading]:
        self.seq += 1
        return readings(
            self.bench.send({**frame(entries, minutes, seq=self.seq, utc_offset="Z"), **fields})
        )


# --- sent again -----------------------------------------------------------------------------------

# Days that the clock shows, counted from the first delivery: it counts, is ahead, is years behind,
# is a month behind.
CLOCKS = st.one_of(
    st.integers(-29 * DAY, 0), st.integers(1, 3 * DAY), st.integers(-1900 * DAY, -1800 * DAY)
)
VALUES = st.lists(
    st.tuples(st.sampled_from(sorted(TIMED)), CLOCKS, st.integers(15, 40)),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one[:2],
)
WAYS = st.tuples(
    st.integers(1, 7 * DAY),
    st.sampled_from(["Z", "+01:00", "-05:00", "+14:00", None]),
    st.booleans(),
    st.booleans(),
)


def payloads(values: Sequence[tuple[str, int, int]]) -> list[tuple[str, bytes]]:
    return [
        (kind, TIMED[kind](START + timedelta(minutes=clock), value))
        for kind, clock, value in values
    ]


@settings(max_examples=150, deadline=None)
@given(VALUES, st.lists(WAYS, min_size=1, max_size=5), st.randoms(use_true_random=False))
@example([("2A35", -29 * DAY, 20)], [(2 * DAY, "Z", False, False)], None)
@example([("2A18", -29 * DAY, 20), ("2A35", 1, 20)], [(7 * DAY, "Z", True, True)] * 3, None)
def test_what_is_sent_again_is_no_further_reading(
    values: list[Any], ways: list[Any], chance: Any
) -> None:
    """A value that is sent again is a duplicate within 7 days of the delivery before.

    It may come any number of times, at any offset, one by one or in one frame, in any order, by the
    same gateway or another. (What was refused may be read when another offset makes its time
    count.)
    """
    sender, known = Sender(), payloads(values)
    read = [
        bool(sender.send(place / 60, entry(*each, place / 60))) for place, each in enumerate(known)
    ]
    minutes = 0.0
    for gap, offset, one_by_one, anew in ways:
        minutes += gap - 0.2
        order = list(range(len(known)))
        chance.shuffle(order) if chance else None
        fields = {"utc_offset": offset, "gateway": f"g{minutes}" if anew else "g"}
        sent = [
            (which, entry(*known[which], minutes + place / 600))
            for place, which in enumerate(order)
        ]
        for group in [[one] for one in sent] if one_by_one else [sent]:
            found = sender.send(minutes, *(each for _, each in group), **fields)
            again = {group[one.origin.index][0] for one in found}
            assert not any(read[which] for which in again)
            for which in again:
                read[which] = True


NEAR = st.one_of(
    st.integers(-2 * DAY, 0), st.integers(1, 3 * DAY), st.integers(-1900 * DAY, -1800 * DAY)
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.tuples(st.sampled_from(sorted(TIMED)), NEAR),
            st.integers(15, 40),
            st.integers(0, DAY),
            st.sampled_from(["Z", "+01:00", "-05:00", "+14:00"]),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda one: one[:2],
    ),
    st.randoms(use_true_random=False),
)
def test_law_2b_in_whatever_order_and_by_whatever_clock_the_readings_are_the_same(
    values: Any, chance: Any
) -> None:
    """The readings are compared by id.

    Each value comes three times, at times and offsets of which some make its time count.
    """
    sent = [
        (
            place,
            kind,
            TIMED[kind](START + timedelta(minutes=clock), value),
            minutes + again * DAY,
            offset,
        )
        for place, ((kind, clock), value, minutes, offset) in enumerate(values)
        for again in range(3)
    ]
    found = []
    for order in (sent, chance.sample(sent, len(sent))):
        sender = Sender()
        found.append(
            [
                one
                for _, kind, payload, minutes, offset in order
                for one in sender.send(minutes, entry(kind, payload, minutes), utc_offset=offset)
            ]
        )
    assert {one.id for one in found[0]} == {one.id for one in found[1]}
    assert len(found[0]) == len(found[1])


@settings(max_examples=60, deadline=None)
@given(VALUES, st.lists(WAYS, min_size=1, max_size=4))
def test_what_is_sent_again_raises_no_alert(values: list[Any], ways: list[Any]) -> None:
    run, seq, output = (
        new_replay([worn(), {"v": 1, "patient": "p", "expected_every": {}}]),
        0,
        list[Any](),
    )

    def send(minutes: float, offset: str | None) -> Output:
        nonlocal seq
        seq += 1
        entries = [
            entry(kind, payload, minutes + place / 60)
            for place, (kind, payload) in enumerate(payloads(values))
        ]
        sent = {**frame(entries, minutes, seq=seq), "utc_offset": offset}
        return decoded(run.jsonl(msgspec.json.encode(sent), seq))

    output += send(0, "Z")
    before = {key: alert["priority"] for key, alert in last_alerts(output).items()}
    minutes = 0.0
    for gap, offset, *_ in ways:
        minutes += gap - 0.2
        output += send(minutes, offset)
    told = {
        key: alert
        for key, alert in last_alerts(output).items()
        if not alert["group"].startswith("device:")
    }
    assert told.keys() <= before.keys()
    assert all(alert["priority"] == before[key] for key, alert in told.items())


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(set(TIMED) - {"2BDD", "2A18"})),
    CLOCKS,
    st.lists(st.integers(15, 40), min_size=2, max_size=8, unique=True),
    st.sampled_from([0, 1, 59, 1439, 10000]),
    st.booleans(),
)
def test_another_value_at_the_same_shown_time_is_a_reading(
    kind: str, clock: int, values: list[int], apart: int, in_one: bool
) -> None:
    """It may come long after the other, in the same frame or in another.

    No two values have one id.
    """
    sender, at = Sender(), START + timedelta(minutes=clock)
    sent = [
        entry(kind, TIMED[kind](at, value), place * apart) for place, value in enumerate(values)
    ]
    if in_one:
        found = sender.send(len(sent) * apart, *sent)
    else:
        found = [one for place, each in enumerate(sent) for one in sender.send(place * apart, each)]
    firsts = [one for one in found if one.origin.part == 0]
    assert len(firsts) == len(values)
    assert len({one.id for one in found}) == len(found)


def test_a_stored_value_is_one_whatever_the_offset_says_of_it() -> None:
    """Its id is made of the time that counts.

    That holds even when the time of the first delivery did not count.
    """
    payload = TIMED["2A35"](START, 20)
    ids = set()
    for offset in ("Z", "-02:00", "+01:00"):
        ids |= {one.id for one in Sender().send(60, entry("2A35", payload, 60), utc_offset=offset)}
    assert len(ids) == 3  # systolic, diastolic, mean
    sender = Sender()
    (first, *_), again = (
        sender.send(60 + each, entry("2A35", payload, 60 + each), utc_offset=f"{o}")
        for each, o in ((0, "-02:00"), (DAY, "+01:00"))
    )
    assert (first.flags, first.attributes["device_time"]) == (
        ("device_time_ignored",),
        "2026-03-01T08:00:00",
    )
    assert again == []


def test_it_is_known_for_seven_days_since_it_was_seen_last() -> None:
    """After that it is a value of now once more, under an id of its own."""
    sender, payload = Sender(), TIMED["2A5E"](datetime(2021, 1, 1), 30)
    found = [
        sender.send(day * DAY, entry("2A5E", payload, day * DAY)) for day in (0, 6, 13, 20, 28)
    ]
    assert [len(each) for each in found] == [2, 0, 0, 0, 2]
    assert len({one.id for each in found for one in each}) == 4


def test_a_part_that_was_refused_is_read_when_the_value_comes_again() -> None:
    """The device had no wearer for the systolic pressure.

    By the device's time ingest still knows which parts were read.
    """
    sender = Sender({"v": 1, "device": "d", "assignments": [{"patient": "p"}, {"patient": "q"}]})
    payload = TIMED["2A35"](datetime(2021, 1, 1), 20)
    assert sender.send(0, entry("2A35", payload, 0)) == []
    sender.bench.put(worn())
    assert len(sender.send(DAY, entry("2A35", payload, DAY))) == 3


@pytest.mark.parametrize("days", [-1, -1900])
def test_what_no_body_can_have_is_refused_once_and_the_judge_hears_of_it_once(days: int) -> None:
    """It is refused as a whole or in part: 60 degrees, and a pulse of 500, sent each day."""
    whole = TIMED["2A1C"](START + timedelta(days=days), 260)
    in_part = (
        struct.pack("<BHHH", 0x06, 120, 80, 93)
        + shown(START + timedelta(days=days, hours=1))
        + b"\xf4\x01"
    )
    bench = Device(worn())
    for day in range(4):
        sent = [entry("2A1C", whole, day * DAY), entry("2A35", in_part, day * DAY)]
        done = bench.send(frame(sent, day * DAY, seq=day, utc_offset="Z"))
        told = sum(len(message.refused) for message in done.readings)
        assert (counts(done), told) == (((3, 0, 2), 2) if not day else ((0, 5, 0), 0))


def test_what_counts_is_known_however_long_it_did_not_come() -> None:
    sender = Sender()
    assert len(sender.send(0, entry("2A35", cuff(-1), 0))) == 3
    assert sender.send(20 * DAY, entry("2A35", cuff(-1), 20 * DAY)) == []
    sender.bench.state.seen = SeenEntries()  # as after very many other values
    assert sender.send(28 * DAY, entry("2A35", cuff(-1), 28 * DAY)) == []


def test_the_octet_that_counts_segments_makes_no_other_value() -> None:
    sender, at = Sender(), START + timedelta(hours=1)
    found = [
        sender.send(number, entry("2B8B", health(at, 16, number), number)) for number in (0, 1, 2)
    ]
    assert [len(each) for each in found] == [1, 0, 0]


def test_the_second_packet_of_a_body_is_known_by_the_time_of_the_first() -> None:
    packets = [
        struct.pack("<HH", 0x1002, 220) + shown(datetime(2021, 1, 1)),
        struct.pack("<HHH", 0x0400, 0xFFFF, 16000),
    ]
    sender = Sender()
    sent = [
        [entry("2A9C", each, minutes + place / 600) for place, each in enumerate(packets)]
        for minutes in (0, DAY)
    ]
    found = [sender.send(minutes, *each) for minutes, each in zip((0, DAY), sent, strict=True)]
    assert [sorted(one.vital for one in each) for each in found] == [["body_fat", "weight"], []]


# --- a clock that does not move -------------------------------------------------------------------


def spo2(*values: int) -> list[bytes]:
    return [TIMED["2A5E"](datetime(2021, 1, 1), value - 60) for value in values]


def test_the_same_value_by_a_clock_that_stands_still_is_measured_anew() -> None:
    """From the second value at one time on it is sure that the clock does not move.

    Each has an id of its own, and is identified by its own ``at``.
    """
    sender, sent = Sender(), spo2(97, 88, 97, 88, 88)
    found = [
        sender.send(day * DAY, entry("2A5E", each, day * DAY)) for day, each in enumerate(sent)
    ]
    assert [len(each) for each in found] == [2] * 5
    assert len({one.id for each in found for one in each}) == 10
    again = [sender.send(5 * DAY, entry("2A5E", each, day * DAY)) for day, each in enumerate(sent)]
    assert again == [[]] * 5


def test_a_memory_of_such_a_clock_is_read_out_as_often_as_one_likes() -> None:
    """The memory may be read out in one frame or several, a minute later or the next day.

    It may come whole or cut off in the middle.
    """
    sender, memory = Sender(), spo2(97, 88, 93)

    def read_out(minutes: float, *payloads: bytes, one_by_one: bool) -> int:
        sent = [entry("2A5E", each, minutes + place / 60) for place, each in enumerate(payloads)]
        groups = [[one] for one in sent] if one_by_one else [sent]
        return sum(len(sender.send(minutes, *group)) for group in groups)

    assert read_out(0, *memory, one_by_one=False) == 6
    again = [
        (1, memory, True),
        (DAY, memory, True),
        (2 * DAY, memory[:1], True),
        (3 * DAY, memory[::-1], False),
    ]
    assert [read_out(minutes, *part, one_by_one=each) for minutes, part, each in again] == [
        0,
        0,
        0,
        0,
    ]
    assert read_out(4 * DAY, *memory, *spo2(85), one_by_one=True) == 2


def test_what_came_one_by_one_and_then_as_a_memory_is_known() -> None:
    sender, memory = Sender(), spo2(97, 88)
    assert [
        len(sender.send(day * DAY, entry("2A5E", each, day * DAY)))
        for day, each in enumerate(memory)
    ] == [2, 2]
    assert sender.send(3 * DAY, *(entry("2A5E", each, 3 * DAY) for each in memory)) == []


def test_handed_over_twice_within_a_minute_it_is_one() -> None:
    sender, sent = Sender(), spo2(97, 88)
    for day, each in enumerate(sent):
        sender.send(day * DAY, entry("2A5E", each, day * DAY))
    twice = sender.send(
        3 * DAY, *(entry("2A5E", sent[0], 3 * DAY + part / 60000) for part in (0, 1))
    )
    assert len(twice) == 2


# --- stored for over 30 days ----------------------------------------------------------------------


def cuff(days: float) -> bytes:
    return TIMED["2A35"](START + timedelta(days=days), 20)


@pytest.mark.parametrize("in_one", [True, False])
@pytest.mark.parametrize("days", [-40, -365])
def test_a_record_over_30_days_old_of_a_clock_that_counts_is_too_old(
    in_one: bool, days: int
) -> None:
    """It came before, with or after one that counts, in one frame in either order."""
    for now, old in ((0, 1), (1, 0)) if in_one else ((0, 1),):
        bench = Device(worn())
        sent = [entry("2A35", cuff(-1), now), entry("2A35", cuff(days), old)]
        groups = [sent if now < old else sent[::-1]] if in_one else [[one] for one in sent]
        done = [
            bench.send(frame(group, 2, seq=seq, utc_offset="Z")) for seq, group in enumerate(groups)
        ]
        assert [reject.reason for each in done for reject in each.rejects] == ["too_old"]
        assert {one.measured_at for one in readings(*done)} == {START - timedelta(days=1)}


def test_a_clock_that_lost_its_date_measures_now() -> None:
    """It counted until the battery was changed, and now shows a time years back."""
    sender = Sender()
    sender.send(0, entry("2A35", cuff(-1), 0))
    found = sender.send(1, entry("2A35", cuff(-1900), 1))
    of_now = (START + timedelta(minutes=1), ("device_time_ignored",))
    assert [(one.measured_at, one.flags) for one in found] == [of_now] * 3


def test_without_a_time_that_counts_an_old_one_is_of_now() -> None:
    assert len(Sender().send(0, entry("2A35", cuff(-40), 0))) == 3


def test_a_clock_set_to_a_wrong_month_measures_now_once_that_is_sure() -> None:
    """Such a clock keeps its distance from the gateway's.

    A memory that is read out does not, and a record that comes again is not such a clock's.
    """
    sender = Sender()
    sender.send(0, entry("2A35", cuff(0), 0))
    found = [
        sender.send(each, entry("2A35", cuff(-61 + each / DAY), each)) for each in range(1, 10)
    ]
    assert [len(each) for each in found] == [0] * (RUNS - 1) + [3] * (10 - RUNS)
    again = [sender.send(10, entry("2A35", cuff(-70), 10 + each / 60000)) for each in range(9)]
    assert again == [[]] * 9


@pytest.mark.parametrize("days", [-20, -40])
def test_what_was_refused_as_too_old_is_refused_once_and_does_not_become_of_now(days: int) -> None:
    """Its device may send it often, and it gets older than 30 days meanwhile."""
    bench = Device(worn())
    bench.send(
        frame([entry("2A35", cuff(-1), 0), entry("2A35", cuff(0.1), 0)], 0, seq=0, utc_offset="Z")
    )
    found = [
        bench.send(
            frame([entry("2A35", cuff(days), day * DAY)], day * DAY, seq=day, utc_offset="Z")
        )
        for day in (1, 2, 8, 15, 16)
    ]
    # one reject for all three values
    assert [counts(each) for each in found] == [(0, 0, 1)] + [(0, 3, 0)] * 4


def test_a_memory_of_one_old_time_is_no_clock_that_runs() -> None:
    """Many values of one shown time come all at once.

    They keep their distance, as those of a wrong clock would.
    """
    sender, at = Sender(), START - timedelta(days=50)
    sender.send(0, entry("2A35", cuff(0), 0))
    assert (
        sender.send(1, *(entry("2A35", TIMED["2A35"](at, value), 1) for value in range(15, 25)))
        == []
    )


def test_what_was_refused_is_read_where_its_time_counts() -> None:
    """A late frame shows that the value came within 30 days."""
    sender = Sender()
    sender.send(0, entry("2A35", cuff(-33), -5 * DAY))
    sender.send(0, entry("2A35", cuff(-31), -1.5 * DAY))
    assert sender.send(1, entry("2A35", cuff(-32), 1)) == []
    assert len(sender.send(2, entry("2A35", cuff(-32), -3 * DAY))) == 3
    assert sender.send(3, entry("2A35", cuff(-32), 3)) == []


# --- apps and record systems ----------------------------------------------------------------------

TEXTS = st.sampled_from(["72", "72.0", "072", "72.00", "71.9", "73"])


def observation(text: str, identity: str | None) -> bytes:
    named = f', "id": "{identity}"' if identity else ""
    return (
        '{"resourceType": "Observation", "status": "final", "code": {"coding": [{"system":'
        f' "http://loinc.org", "code": "8867-4"}}]}}, "effectiveDateTime": "{stamp(0)}"{named},'
        f' "valueQuantity": {{"value": {text}, "unit": "/min", "system":'
        ' "http://unitsofmeasure.org", "code": "/min"}}'
    ).encode()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(TEXTS, min_size=1, max_size=6),
    st.sampled_from(["app", "fhir", "fhir by id"]),
    st.booleans(),
)
def test_one_number_at_one_instant_is_one_reading(
    texts: list[str], kind: str, in_one: bool
) -> None:
    """It may be written in any way and come any number of times.

    Another number is another reading.
    """
    bench = Device(worn())
    if kind == "app":
        entries: list[Any] = [measurement(0, "heart_rate", text) for text in texts]
    else:
        texts = [text.removeprefix("0") for text in texts]  # JSON has no numbers with a leading 0
        entries = [
            msgspec.Raw(observation(text, "q" if kind == "fhir by id" else None)) for text in texts
        ]
    name = "measurements" if kind == "app" else "resources"
    groups = [entries] if in_one else [[each] for each in entries]
    done = [
        bench.send(
            {
                **frame([measurement(0, "pulse_rate", "1")], seq, seq=seq),
                "measurements": None,
                name: group,
            }
        )
        for seq, group in enumerate(groups)
    ]
    assert len(readings(*done)) == len({float(text) for text in texts})
    assert sum(counts(each)[1] for each in done) == len(texts) - len(readings(*done))


@pytest.mark.parametrize("app_first", [True, False])
@pytest.mark.parametrize("apart", [0, 7 / 60, 59 / 60])
def test_a_sensors_value_by_two_uploaders_is_one_measurement(app_first: bool, apart: float) -> None:
    """CONTRACT 10, Sameness: it comes seconds apart, by 2AA7 and by an app.

    It is in one summary once, and low once.
    """
    start = [
        {"at": stamp(-60), "characteristic": "2AAA", "payload": (shown(START) + bytes(2)).hex()}
    ]
    by_sensor = frame(
        [entry("2AA7", struct.pack("<BBHH", 6, 0, 50, 5), 5)],
        5,
        seq=2,
        device="sensor",
        utc_offset="Z",
    )
    by_app = frame([measurement(5 + apart, "glucose_interstitial", "50")], 6, seq=1, device="app")
    entries = [
        worn(device="sensor"),
        worn(device="app"),
        {"v": 1, "patient": "p", "expected_every": {}},
    ]
    run, output = new_replay(entries), list[Any]()
    frames = [by_app, by_sensor] if app_first else [by_sensor, by_app]
    for seq, sent in enumerate([frame(start, 0, seq=0, device="sensor", utc_offset="Z"), *frames]):
        output += decoded(run.jsonl(msgspec.json.encode(sent), seq))
    output += decoded(run.finish(None))
    assert len(of_type(output, "reading")) == 2
    (summary,) = {
        body["id"]: body for body in of_type(output, "observation") if "component" in body
    }.values()
    assert summary["component"][0]["valueInteger"] == 1
    assert len(last_alerts(output)) == 1


# --- no row ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("second", "priority"), [(0, "medium"), (60, "high")])
def test_two_of_one_shown_time_that_does_not_count_are_no_row(second: int, priority: str) -> None:
    """CONTRACT 10, Device time: one may be the other, sent again.

    Two values of two times are two.
    """
    sent = [
        TIMED["2A35"](datetime(2021, 1, 1) + timedelta(seconds=each), 90) for each in (0, second)
    ]
    sent[1] = sent[1][:1] + struct.pack("<H", 191) + sent[1][3:]
    run, output = new_replay([worn(), {"v": 1, "patient": "p", "expected_every": {}}]), list[Any]()
    for seq, payload in enumerate(sent):
        done = run.jsonl(
            msgspec.json.encode(frame([entry("2A35", payload, 10 * seq)], 10 * seq, seq=seq)), seq
        )
        output += decoded(done)
    assert len(of_type(output, "reading")) == 6
    ranks = {alert["group"]: alert["priority"] for alert in last_alerts(output).values()}
    assert ranks["vital_signs"] == priority


# --- state ----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(-1, 2**33)), max_size=40)
)
def test_sightings_are_the_same_after_they_were_packed(seen: list[tuple[int, int, int]]) -> None:
    """Any times, also those that no clock of this century shows."""
    found = Sightings()
    for time, content, second in seen:
        at = datetime.fromtimestamp(0, tz=START.tzinfo) + timedelta(seconds=second)
        found.note(name_of(str(time), str(content)), at, at, "read")
        assert found.holds(name_of(str(time), str(content)))
    assert list(found.names) == sorted(
        {name_of(str(time), str(content)) for time, content, _ in seen}
    )
    assert Sightings.unpacked(found.packed()) == found
    assert Sightings.unpacked(found.packed()).packed() == found.packed()


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1", Sightings().packed() + b"x"])
def test_sightings_of_another_machine_or_cut_ones_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="sightings"):
        Sightings.unpacked(data)


def test_what_sends_most_gives_first() -> None:
    """A sensor that streams with a wrong clock does not displace a cuff."""
    kinds = {"2B8B": Sightings(), "2A35": Sightings()}
    for number in range(5000):
        at = START + timedelta(seconds=number)
        kinds["2B8B"].note(name_of(str(at), ""), at, at, "read")
        if number < 100:
            kinds["2A35"].note(name_of(str(at), ""), at, at, "read")
        forget(kinds)
    assert len(kinds["2A35"]) == 100
    assert MOST <= sum(map(len, kinds.values())) < MOST + 64
    assert kinds["2B8B"].holds(name_of(str(at), ""))


def test_what_an_older_release_read_is_known_by_the_gateways_time() -> None:
    """An older state has no identities of values.

    A value that the gateway sends again is recognised. One that the device sends again is read once
    more.
    """
    sender, payload = Sender(), TIMED["2A35"](datetime(2021, 1, 1), 20)
    sender.send(0, entry("2A35", payload, 0))
    sender.bench.state.sightings.clear()
    assert sender.send(1, entry("2A35", payload, 0)) == []
    sender.bench.state.sightings.clear()
    assert [len(sender.send(each, entry("2A35", payload, each))) for each in (2, DAY, 2 * DAY)] == [
        3,
        0,
        0,
    ]


def test_what_counted_under_an_older_release_is_known_when_it_does_not_count_any_more() -> None:
    sender = Sender()
    sender.send(0, entry("2A35", cuff(-29), 0))
    sender.bench.state.sightings.clear()
    assert sender.send(2 * DAY, entry("2A35", cuff(-29), 2 * DAY)) == []


def test_the_second_packet_of_a_body_that_came_before_the_first_is_known_after_it() -> None:
    first = struct.pack("<HH", 0x1002, 220) + shown(START)
    second = struct.pack("<HHH", 0x0400, 0xFFFF, 16000)
    sender = Sender()
    # the weight, and a fat that was not measured
    assert len(sender.send(2, entry("2A9C", second, 1 / 60))) == 2
    assert [one.vital for one in sender.send(3, entry("2A9C", first, 0))] == ["body_fat"]
    assert sender.send(4, entry("2A9C", second, 1 / 60)) == []


def test_a_state_full_of_odd_seconds_leaves_the_names_less_room() -> None:
    """CONTRACT 8: 48 KB in all."""
    sender, chance = Sender(), Random(1)
    for day in range(8):
        for kind in ("2A1C", "2A35", "2A5E"):
            times = sorted(chance.sample(range(1440 * 60), 330))
            sent = [
                entry(
                    kind,
                    TIMED[kind](START + timedelta(days=day, seconds=each), 25),
                    day * DAY + each / 60,
                )
                for each in times
            ]
            for part in range(0, 330, 110):
                sender.send((day + 1) * DAY, *sent[part : part + 110])
    assert sum(map(len, sender.bench.state.seen.older.values())) > 2 * 5_000
    assert LEAST <= sum(map(len, sender.bench.state.sightings.values())) < LEAST + 64
    assert len(pack_device(sender.bench.state)) < 32 * 1024


def test_a_wrong_clock_takes_little_state() -> None:
    sender = Sender()
    for number in range(20):
        at = datetime(2021, 1, 1) + timedelta(hours=number)
        sent = [
            entry("2A1C", TIMED["2A1C"](at + timedelta(seconds=each), 25), number * 60 + each / 60)
            for each in range(0, 3000, 30)
        ]
        assert len(sender.send(number * 60 + 59, *sent)) == 100
    assert len(pack_device(sender.bench.state)) < 22 * 1024


# --- what its device numbers ----------------------------------------------------------------------


def glucose(value: int, number: int, at: datetime | None, low: bool = False) -> bytes:
    """Return a meter's record in mg/dL; without a time, of a meter that has none."""
    time = bytes(7) if at is None else shown(at)
    said = struct.pack("<HB", 0xB000 + value, 0x11) + (struct.pack("<H", 0x40) if low else b"")
    return bytes((0x0A if low else 0x02,)) + struct.pack("<H", number) + time + said


@pytest.mark.parametrize("clock", [0, -29 * DAY, -1900 * DAY, None])
@given(
    values=st.lists(st.integers(20, 500), min_size=2, max_size=5, unique=True), low=st.booleans()
)
def test_one_number_with_another_value_is_another_measurement(
    clock: int | None, values: list[int], low: bool
) -> None:
    """A meter that lost its battery begins again with its first number.

    When it is sent again, each value is a duplicate.
    """
    sender, at = Sender(), None if clock is None else START + timedelta(minutes=clock)
    sent = [glucose(value, 1, at) for value in values] + (
        [glucose(1, 1, at, low=True)] if low else []
    )
    read = [
        each
        for place, one in enumerate(sent)
        for each in sender.send(place * 9, entry("2A18", one, place * 9))
    ]
    assert len(read) == len({each.id for each in read}) == len(sent)
    assert [
        sender.send(99 + place, entry("2A18", one, 99 + place)) for place, one in enumerate(sent)
    ] == [[]] * len(sent)


@given(days=st.integers(8, 29))
def test_a_clock_set_back_by_days_is_read_once_that_is_sure(days: int) -> None:
    sender = Sender()
    sender.send(0, entry("2A35", cuff(0), 0))
    found = [
        sender.send(each, entry("2A35", cuff(each / DAY - days), each)) for each in range(1, 10)
    ]
    assert [len(each) for each in found] == [0] * (RUNS - 1) + [3] * (10 - RUNS)


@pytest.mark.parametrize("offset", ["+14:01", "-12:01", "+14:30", "-14:00", "+15:00", "-12:30"])
def test_no_offset_lies_beyond_the_zones(offset: str) -> None:
    done = Device(worn()).send(frame([entry("2A35", cuff(0), 0)], 0, utc_offset=offset))
    assert [each.reason for each in done.rejects] == ["bad_schema"]

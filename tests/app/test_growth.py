"""Of every key the newest record is moved, to where everybody will look for it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.errors import UsageError
from rpm_stream.app.growth.keyed import Held, Index, check_whole, counting, held_with, proof
from rpm_stream.app.growth.queues import home
from rpm_stream.app.names import ALERTS, FRAMES, REGISTRY, STATE_INGEST, STATE_JUDGE
from rpm_stream.app.partitions import home_of
from rpm_stream.pipeline.device import DeviceState
from rpm_stream.pipeline.held import hold, packed
from rpm_stream.pipeline.sealed import pack_device
from rpm_stream.pipeline.state import pack_patient, unpack_patient

COUNT = 8


def record(topic: str, partition: int, offset: int, at: int, value: bytes | None, key: bytes = b"k") -> ConsumerRecord:
    return ConsumerRecord(topic, partition, offset, at, 0, key, value, None, 1, 1, ())


def held(records: list[ConsumerRecord]) -> Held:
    found: Held | None = None
    for one in records:
        found = held_with(found, one, COUNT) or found
    assert found is not None
    return found


@given(st.data(), st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_newest_of_a_key_counts_whatever_partition_is_read_first(data: st.DataObject, places: list[int]) -> None:
    """A key was written here and there, as time went on; whoever reads knows the order of each partition alone."""
    by_partition: dict[int, list[ConsumerRecord]] = {}
    for at, partition in enumerate(places):
        lane = by_partition.setdefault(partition, [])
        lane.append(record(REGISTRY, partition, len(lane), at, b"%d" % at))
    newest = by_partition[places[-1]][-1]
    lanes, read = [list(lane) for lane in by_partition.values()], []
    while any(lanes):
        read.append(data.draw(st.sampled_from([lane for lane in lanes if lane])).pop(0))
    assert held(read)[:2] == (newest.partition, newest.offset)


def test_in_one_partition_the_last_counts_though_a_copy_has_its_old_time() -> None:
    found = held([record(REGISTRY, 1, 0, 900, b"before"), record(REGISTRY, 1, 1, 100, b"after")])
    assert (found.offset, found.home) == (1, home_of(b"k", COUNT))


def test_an_alert_belongs_where_its_patient_does_and_an_unreadable_one_stays() -> None:
    alert = msgspec.json.encode({"id": "k", "patient": "zaphod"})
    assert held([record(ALERTS, 0, 0, 0, alert)]).home == home_of(b"zaphod", COUNT)
    assert held([record(ALERTS, 0, 0, 0, alert), record(ALERTS, 0, 1, 1, b"?")]).home == home_of(b"zaphod", COUNT)
    assert held([record(ALERTS, 5, 0, 0, b"?")]).home == 5


def test_a_deleted_key_is_not_moved_and_a_damaged_state_is_known() -> None:
    assert counting({b"k": held([record(REGISTRY, 0, 0, 0, b"v"), record(REGISTRY, 0, 1, 1, None)])}) == {}
    assert not held([record(STATE_JUDGE, 0, 0, 0, b"no state")]).whole
    assert held([record("rpm-ingest-state-changelog", 0, 0, 0, pack_device(DeviceState()))]).whole


@pytest.mark.parametrize("topic", [STATE_INGEST, STATE_JUDGE])
def test_whoever_must_act_before_a_growth_is_told_what_to_do(topic: str) -> None:
    """A state that is damaged, also a held one, is made anew; one that is made anew is caught up with by its stage."""
    state = pack_device(DeviceState()) if topic == STATE_INGEST else pack_patient(unpack_patient(None, "k"))
    one = hold(5, datetime(2026, 1, 1, tzinfo=UTC), "damaged", state[:-3])
    check_whole(topic, {b"k": held([record(topic, 0, 0, 0, state)])})
    check_whole(topic, {b"k": held([record(topic, 0, 0, 0, packed(one)), record(topic, 0, 1, 1, state)])})
    for value, first in (
        (state[:-3], "state rebuild"), (packed(one), "state rebuild"), (one.mended(b""), "state rebuild"),
        (one.mended(state), "let them catch up"), (one.mended(state)[:-1], "state rebuild"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"{topic}: 1 states .* {first}"):
            check_whole(topic, {b"k": held([record(topic, 0, 0, 0, value)])})


@pytest.mark.parametrize("change", ["lost", "other", "renamed"])
def test_a_proof_sees_each_difference(change: str) -> None:
    whole: Index = {name: held([record(REGISTRY, 0, 0, 0, b"v" + name, name)]) for name in (b"a", b"b", b"ab")}
    other = dict(whole)
    one = other.pop(b"b")
    if change == "other":
        other[b"b"] = one._replace(crc=one.crc ^ 1)
    elif change == "renamed":
        other[b"c"] = one
    assert proof(whole) == proof(dict(reversed(whole.items()))) != proof(other)


def test_what_has_no_key_stays_in_its_queue() -> None:
    assert home(ConsumerRecord(FRAMES, 3, 0, 0, 1, None, b"", None, 0, 0, ()), COUNT) == 3
    assert home(record(FRAMES, 3, 0, 0, b""), COUNT) == home_of(b"k", COUNT)

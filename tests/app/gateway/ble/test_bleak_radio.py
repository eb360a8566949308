"""The back-end for the system's stack: bleak's own code for Linux on a real D-Bus, against a double
of BlueZ.

Each fault here is one that users of such gateways have reported (reference: issues of bleak and
BlueZ).
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytest_asyncio
import structlog
from bleak import BleakClient
from support.radio.bluez import BluezDouble, FakeDevice, Value, private_bus

from rpm_stream.app.gateway.ble import bluez
from rpm_stream.app.gateway.ble.bleak_link import BleakLink
from rpm_stream.app.gateway.ble.bleak_radio import BleakRadio
from rpm_stream.app.gateway.ble.bluez_bus import Props
from rpm_stream.app.gateway.ble.radio import (
    GattCharacteristic,
    Link,
    LinkLost,
    NotFound,
    NotPaired,
    PairingFailed,
    RadioOff,
    Refused,
)

pytestmark = pytest.mark.asyncio

STRAP, CUFF, METER = "F0:F1:F2:F3:F4:F5", "C0:26:DA:01:02:03", "D0:00:00:00:00:07"
PRESSURE = bytes.fromhex("04ae0055006800d0ea070b1d071e005000")


def strap() -> FakeDevice:
    return FakeDevice(
        STRAP,
        "HR-70A",
        [
            Value("180D", "2A37", frozenset({"notify"})),
            Value("180F", "2A19", frozenset({"read", "notify"}), value=b"\x0f"),
        ],
    )


def cuff() -> FakeDevice:
    return FakeDevice(
        CUFF,
        "UA-651BLE",
        [
            Value("1810", "2A35", frozenset({"indicate"})),
            Value("1810", "2A08", frozenset({"read", "write"}), value=bytes(7), wants_bond=True),
        ],
    )


def meter() -> FakeDevice:
    return FakeDevice(
        METER,
        "Contour",
        [
            Value("1808", "2A18", frozenset({"notify"})),
            Value("1808", "2A52", frozenset({"write", "indicate"})),
        ],
        passkey=123456,
    )


@pytest_asyncio.fixture
async def air(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BluezDouble]:
    monkeypatch.setattr(bluez, "OFF_SECONDS", 0.05)
    async with private_bus(tmp_path):
        double = BluezDouble([strap(), cuff(), meter()])
        await double.start()
        yield double
        await double.stop()


@pytest_asyncio.fixture
async def radio(air: BluezDouble) -> AsyncIterator[BleakRadio]:
    async with BleakRadio() as entered:
        yield entered


async def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


def open_files_now() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def connected(air: BluezDouble, radio: BleakRadio, address: str) -> Link:
    air.advertise(air.devices[address])
    return await radio.connect(address, 20.0)


async def one(link: Link, uuid: str) -> GattCharacteristic:
    return next(each for each in await link.characteristics() if each.uuid == uuid)


async def test_what_is_near_is_told_again_and_again(air: BluezDouble, radio: BleakRadio) -> None:
    """Also with an unchanged strength: else a device that comes back is never found again."""
    async with aclosing(radio.sightings()) as near:
        seen = asyncio.ensure_future(anext(near))
        await until(lambda: bool(air.discovering))
        (asked,) = air.discovering.values()
        assert asked["DuplicateData"].value is True
        for _ in range(3):
            air.advertise(air.devices[STRAP])
            sighting = await asyncio.wait_for(seen, 20)
            assert sighting == (STRAP, "HR-70A", frozenset({"180D", "180F"}), -60)
            seen = asyncio.ensure_future(anext(near))
        seen.cancel()
        await asyncio.gather(seen, return_exceptions=True)
    assert not air.discovering


async def test_connecting_discovers_everything(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, CUFF)
    assert [each[:3] for each in await link.characteristics()] == [
        ("1810", "2A35", frozenset({"indicate"})),
        ("1810", "2A08", frozenset({"read", "write"})),
    ]
    assert (link.address, link.bonded, link.gone.is_set(), await link.rssi()) == (
        CUFF,
        False,
        False,
        None,
    )
    await link.close()
    assert link.gone.is_set()
    await until(lambda: not air.devices[CUFF].connected)


async def test_a_device_that_nobody_has_seen_yet(air: BluezDouble, radio: BleakRadio) -> None:
    """It may begin to advertise after we began to connect."""
    connecting = asyncio.ensure_future(radio.connect(STRAP, 20.0))
    await until(lambda: bool(air.discovering))
    air.advertise(air.devices[STRAP])
    await (await connecting).close()
    assert not air.discovering


async def test_connecting_while_others_are_sighted(air: BluezDouble, radio: BleakRadio) -> None:
    """BlueZ refuses a second discovery of one process: there is only one."""
    async with aclosing(radio.sightings()) as near:
        air.advertise(air.devices[STRAP])
        assert (await asyncio.wait_for(anext(near), 20)).address == STRAP
        connecting = asyncio.ensure_future(radio.connect(CUFF, 20.0))
        await asyncio.sleep(0.05)
        air.advertise(air.devices[CUFF])
        await connecting
        assert len(air.discovering) == 1
        assert air.calls.count("org.bluez.Adapter1.StartDiscovery") == 1


async def test_a_device_out_of_reach(air: BluezDouble, radio: BleakRadio) -> None:
    with pytest.raises(NotFound, match="not reached in time"):
        await radio.connect(STRAP, 0.3)
    air.devices[STRAP].known = True  # BlueZ knows it, but it does not answer
    await air.settle()
    with pytest.raises(NotFound):
        await radio.connect(STRAP, 0.3)
    assert not air.discovering


async def test_every_value_once_in_order_and_unchanged(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, STRAP)
    came: list[bytes] = []
    await link.subscribe(await one(link, "2A37"), came.append)
    sent = [bytes([0, rate % 256]) for rate in range(300)] + [b"\x00\x48"] * 20
    for value in sent:
        assert air.send(air.devices[STRAP], "2A37", value)
    await until(lambda: len(came) >= len(sent))
    await asyncio.sleep(0.05)
    assert came == sent


async def test_an_indication_of_a_cuff_that_hangs_up_at_once(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """It indicates all that it has stored as soon as we subscribe, and drops the link: all of it
    is kept.
    """
    device = air.devices[CUFF]
    stored = [PRESSURE[:-1] + bytes([number]) for number in range(30)]

    def send_all(value: Value) -> None:
        for each in stored:
            air.send(device, value.uuid, each)
        air.drop(device)

    device.on_subscribe = send_all
    link = await connected(air, radio, CUFF)
    came: list[bytes] = []
    with suppress(LinkLost):
        await link.subscribe(await one(link, "2A35"), came.append)
    await asyncio.wait_for(link.gone.wait(), 20)
    assert came == stored


async def test_subscribing_again_replaces_the_callback(air: BluezDouble, radio: BleakRadio) -> None:
    """A strap that has fallen silent is subscribed to anew; no value arrives twice."""
    link = await connected(air, radio, STRAP)
    first: list[bytes] = []
    second: list[bytes] = []
    characteristic = await one(link, "2A37")
    await link.subscribe(characteristic, first.append)
    await link.subscribe(characteristic, second.append)
    assert air.calls.count("org.bluez.GattCharacteristic1.StartNotify") == 2
    air.send(air.devices[STRAP], "2A37", b"\x00\x50")
    await until(lambda: bool(second))
    await asyncio.sleep(0.05)
    assert (first, second) == ([], [b"\x00\x50"])


async def test_another_program_has_subscribed(air: BluezDouble, radio: BleakRadio) -> None:
    """BlueZ then tells each value twice, and nothing tells that from a device that repeats
    itself: the log says so.
    """
    link = await connected(air, radio, STRAP)
    strap = air.devices[STRAP]
    with structlog.testing.capture_logs() as logs:
        await link.subscribe(await one(link, "2A37"), print)
        await link.subscribe(await one(link, "2A37"), print)
    assert logs == []
    await link.close()
    air.notifying[strap.value("2A37").path] = {":1.99"}
    link = await connected(air, radio, STRAP)
    with structlog.testing.capture_logs() as logs:
        await link.subscribe(await one(link, "2A37"), print)
    assert [each["event"] for each in logs] == ["ble.other_subscriber"]


async def test_a_value_that_is_read_is_not_notified_as_well(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """BlueZ tells it twice. A real notification beside it is kept."""
    link = await connected(air, radio, STRAP)
    came: list[bytes] = []
    battery = await one(link, "2A19")
    await link.subscribe(battery, came.append)
    assert await link.read(battery) == b"\x0f"
    reading = asyncio.ensure_future(link.read(battery))
    await asyncio.sleep(0.02)
    air.send(air.devices[STRAP], "2A19", b"\x0e")
    assert await reading == b"\x0f"
    await asyncio.sleep(0.1)
    assert came == [b"\x0e"]
    air.send(air.devices[STRAP], "2A19", b"\x0f")
    await until(lambda: came == [b"\x0e", b"\x0f"])


async def test_a_hundred_lost_connections_leave_nothing(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """Without care each keeps a connection to the D-Bus and a watcher, and each value arrives
    once for each of them.
    """
    came: list[bytes] = []
    held: list[tuple[int, int]] = []
    for number in range(100):
        link = await connected(air, radio, STRAP)
        await link.subscribe(await one(link, "2A37"), came.append)
        air.send(air.devices[STRAP], "2A37", bytes([0, number]))
        air.drop(air.devices[STRAP])
        await asyncio.wait_for(link.gone.wait(), 20)
        if number in (29, 99):
            await asyncio.sleep(0.3)
            air.calls.clear()
            gc.collect()
            held.append((open_files_now(), len(gc.get_objects())))
    assert came == [bytes([0, number]) for number in range(100)]
    (files, objects), (files_later, objects_later) = held
    assert files_later <= files
    assert objects_later < objects + 70  # less than one for each connection


async def test_a_lost_connection_gives_back_what_it_held(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """Also where the device never comes back."""
    link = await connected(air, radio, CUFF)
    await link.close()
    before = open_files_now()
    link = await connected(air, radio, STRAP)
    assert open_files_now() > before
    air.drop(air.devices[STRAP])
    await asyncio.wait_for(link.gone.wait(), 20)
    await until(lambda: open_files_now() <= before)


async def test_a_lost_connection_is_no_advertisement(air: BluezDouble, radio: BleakRadio) -> None:
    """bleak tells it like one, and a gateway would try for half a minute to connect to a device
    that has gone.
    """
    async with aclosing(radio.sightings()) as near:
        for _ in range(3):
            waiting = asyncio.ensure_future(anext(near))
            await asyncio.sleep(0.02)
            air.advertise(air.devices[STRAP])
            assert (await asyncio.wait_for(waiting, 20)).address == STRAP
            waiting = asyncio.ensure_future(anext(near))
            link = await radio.connect(STRAP, 20.0)
            air.drop(air.devices[STRAP])
            await asyncio.wait_for(link.gone.wait(), 20)
            await asyncio.sleep(0.05)
            assert not waiting.done()
            air.advertise(air.devices[STRAP])
            assert (await asyncio.wait_for(waiting, 20)).address == STRAP


class OvertakenClient:
    """A ``BleakClient`` of which a value arrives after other news of the end; it tells nothing
    once it is released.
    """

    is_connected = True

    def __init__(self) -> None:
        characteristic = SimpleNamespace(
            obj=None, handle=1, uuid="2A35", service_uuid="1810", properties=["indicate"]
        )
        self.services = [SimpleNamespace(characteristics=[characteristic])]
        self.tell: Callable[[object, bytearray], None] = lambda *_: None

    async def start_notify(self, _: object, tell: Callable[[object, bytearray], None]) -> None:
        self.tell = tell

    async def disconnect(self) -> None:
        self.tell = lambda *_: None


async def test_news_of_the_end_do_not_overtake_values() -> None:
    """They travel by another socket than values, which BlueZ has confirmed to the device
    already.
    """
    client = OvertakenClient()
    link = BleakLink(cast(BleakClient, client), CUFF, None, "")
    came: list[bytes] = []
    await link.subscribe(await one(link, "2A35"), came.append)
    link.lost()
    await asyncio.sleep(0.02)
    client.tell(None, bytearray(PRESSURE))
    await asyncio.wait_for(link.gone.wait(), 20)
    client.tell(None, bytearray(PRESSURE))
    assert came == [PRESSURE]


async def test_a_connection_that_is_lost_says_so_everywhere(
    air: BluezDouble, radio: BleakRadio
) -> None:
    link = await connected(air, radio, CUFF)
    clock = await one(link, "2A08")
    air.drop(air.devices[CUFF])
    await asyncio.wait_for(link.gone.wait(), 20)
    for asked in (
        link.characteristics,
        lambda: link.read(clock),
        lambda: link.write(clock, bytes(7), True),
        lambda: link.subscribe(clock, print),
        link.pair,
        link.rssi,
    ):
        with pytest.raises(LinkLost):
            await asked()
    await link.close()


async def test_lost_while_it_discovers(air: BluezDouble, radio: BleakRadio) -> None:
    air.devices[CUFF].drops_while_discovering = True
    with pytest.raises(NotFound, match="lost at once"):
        await connected(air, radio, CUFF)
    air.devices[CUFF].drops_while_discovering = False
    await (await connected(air, radio, CUFF)).close()


async def test_lost_while_a_request_is_under_way(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, STRAP)
    air.devices[STRAP].value("2A19").silent = True
    reading = asyncio.ensure_future(link.read(await one(link, "2A19")))
    await asyncio.sleep(0.05)
    air.drop(air.devices[STRAP])
    with pytest.raises(LinkLost):
        await asyncio.wait_for(reading, 20)


async def test_a_device_that_never_answers(
    air: BluezDouble, radio: BleakRadio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A battery at 15 % that hangs the transfer: the connection is given up, and its values
    stay.
    """
    monkeypatch.setattr("rpm_stream.app.gateway.ble.bleak_connection.ANSWER_SECONDS", 0.2)
    link = await connected(air, radio, STRAP)
    air.devices[STRAP].value("2A19").silent = True
    with pytest.raises(LinkLost, match="did not answer"):
        await link.read(await one(link, "2A19"))
    await asyncio.wait_for(link.gone.wait(), 20)


async def test_what_a_device_refuses(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, CUFF)
    pressure, clock = await one(link, "2A35"), await one(link, "2A08")
    with pytest.raises(Refused):
        await link.read(pressure)
    with pytest.raises(NotPaired):
        await link.write(clock, bytes(7), True)
    with pytest.raises(Refused, match="does not send"):
        await link.subscribe(clock, print)
    await link.pair()
    assert link.bonded
    await link.write(clock, PRESSURE[:7], True)
    assert air.devices[CUFF].value("2A08").written == [PRESSURE[:7]]
    air.devices[CUFF].value("2A08").att_error = 0x80
    with pytest.raises(Refused, match="0x80"):
        await link.write(clock, bytes(7), True)
    assert not link.gone.is_set()


async def test_a_bond_outlives_the_connection(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, CUFF)
    await link.pair()
    await link.close()
    again = await connected(air, radio, CUFF)
    assert again.bonded
    await again.pair()
    assert air.calls.count("org.bluez.Device1.Pair") == 1


async def test_pairing_that_fails(air: BluezDouble, radio: BleakRadio) -> None:
    air.devices[CUFF].pairs = False
    link = await connected(air, radio, CUFF)
    with pytest.raises(PairingFailed, match="AuthenticationFailed"):
        await link.pair()
    assert not link.bonded


async def test_pairing_that_nobody_ends(
    air: BluezDouble, radio: BleakRadio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person has left: pairing is given up, the adapter and the other devices are not."""
    monkeypatch.setattr(bluez, "PAIR_SECONDS", 0.2)
    air.devices[CUFF].pairs = None
    link = await connected(air, radio, CUFF)
    with pytest.raises(PairingFailed, match="no answer in time"):
        await link.pair()
    assert "org.bluez.Device1.CancelPairing" in air.calls
    assert await link.characteristics()


async def test_a_bond_that_the_device_refuses_for_one_value(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """BlueZ says bonded, the device says not paired: the keys are deleted, and the next
    connection bonds anew.
    """
    device = air.devices[CUFF]
    link = await connected(air, radio, CUFF)
    await link.pair()
    clock = await one(link, "2A08")
    device.bonded = False  # what the device says, not what BlueZ keeps
    with pytest.raises(NotPaired):
        await link.write(clock, bytes(7), True)
    with pytest.raises(PairingFailed, match="deleted"):
        await link.pair()
    await asyncio.wait_for(link.gone.wait(), 20)
    assert air.calls.count("org.bluez.Adapter1.RemoveDevice") == 1
    again = await connected(air, radio, CUFF)
    await again.pair()
    await again.write(await one(again, "2A08"), bytes(7), True)


@pytest.mark.parametrize("tells_reasons", [True, False])
async def test_a_bonded_device_that_hangs_up_at_once(
    air: BluezDouble, radio: BleakRadio, tells_reasons: bool
) -> None:
    """The keys are deleted only where BlueZ says that they are why: a weak signal must cost
    nobody a bond.
    """
    air.tells_reasons = tells_reasons
    link = await connected(air, radio, CUFF)
    await link.pair()
    await link.close()
    air.devices[CUFF].has_keys = False
    if tells_reasons:
        with pytest.raises(PairingFailed, match="deleted"):
            await connected(air, radio, CUFF)
        await (await connected(air, radio, CUFF)).pair()
    else:
        for _ in range(5):
            with pytest.raises(NotFound, match="bluetoothctl"):
                await connected(air, radio, CUFF)
        assert air.devices[CUFF].bonded


async def test_a_weak_signal_costs_no_bond(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, CUFF)
    await link.pair()
    await link.close()
    air.devices[CUFF].drops_while_discovering = True
    for _ in range(5):
        with pytest.raises(NotFound):
            await connected(air, radio, CUFF)
    assert air.devices[CUFF].bonded


async def test_a_number_that_a_person_types(air: BluezDouble) -> None:
    asked: list[str] = []

    async def ask(address: str) -> int:
        asked.append(address)
        return 123456

    async with BleakRadio(passkey=ask) as radio:
        link = await connected(air, radio, METER)
        await link.pair()
        assert link.bonded
    assert asked == [METER]


async def test_a_number_that_nobody_types(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, METER)
    with pytest.raises(PairingFailed):
        await link.pair()


async def test_reset_switches_the_adapter_off_and_on(air: BluezDouble, radio: BleakRadio) -> None:
    """All links are gone, and the sightings go on by themselves."""
    link = await connected(air, radio, CUFF)
    async with aclosing(radio.sightings()) as near:
        air.advertise(air.devices[STRAP])
        await asyncio.wait_for(anext(near), 20)
        await radio.reset()
        assert air.switched == [False, True]
        assert link.gone.is_set()
        air.advertise(air.devices[STRAP])
        assert (await asyncio.wait_for(anext(near), 20)).address == STRAP


async def test_a_reset_that_is_given_up_leaves_the_adapter_on(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """A gateway that is stopped then would find it off when it starts again."""
    resetting = asyncio.create_task(radio.reset())
    await until(lambda: not air.powered)
    resetting.cancel()
    await asyncio.wait({resetting}, timeout=20)
    assert resetting.cancelled()
    assert air.powered
    await (await connected(air, radio, CUFF)).close()


async def test_a_reset_that_is_not_allowed(air: BluezDouble, radio: BleakRadio) -> None:
    """The log says what to do; scanning begins anew and the gateway goes on."""
    air.allowed = False
    async with aclosing(radio.sightings()) as near:
        air.advertise(air.devices[STRAP])
        await asyncio.wait_for(anext(near), 20)
        with structlog.testing.capture_logs() as logs:
            await radio.reset()
        assert "group bluetooth" in logs[0]["fault"]
        air.advertise(air.devices[STRAP])
        assert (await asyncio.wait_for(anext(near), 20)).address == STRAP


async def test_a_scan_that_is_stuck(air: BluezDouble, radio: BleakRadio) -> None:
    """BlueZ believes that it scans and refuses to begin: nothing is found until the adapter is
    switched off and on.
    """
    air.stuck = True
    air.advertise(air.devices[STRAP])
    async with aclosing(radio.sightings()) as near:
        assert (await asyncio.wait_for(anext(near), 20)).address == STRAP
    assert air.switched == [False, True]


async def test_a_scan_that_stays_stuck(air: BluezDouble, radio: BleakRadio) -> None:
    """Where the adapter may not be switched: it is off, which the supervisor tries again, and no
    fault of ours.
    """
    air.stuck, air.allowed = True, False
    with pytest.raises(RadioOff, match="scanning does not begin"):
        await anext(radio.sightings())


async def test_an_attempt_that_is_given_up_leaves_no_connection(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """At whatever moment: a device that stays connected to nobody would never advertise again."""
    device = air.devices[STRAP]
    clock = asyncio.get_running_loop().time
    began = clock()
    await (await connected(air, radio, STRAP)).close()
    step = (clock() - began) / 60
    completed = 0
    for moment in range(80):
        air.advertise(device)
        connecting = asyncio.ensure_future(radio.connect(STRAP, 20.0))
        then = clock() + moment * step
        while clock() < then:
            await asyncio.sleep(0)
        connecting.cancel()
        done = (await asyncio.gather(connecting, return_exceptions=True))[0]
        if not isinstance(done, BaseException):
            completed += 1
            await done.close()
        await until(lambda: not device.connected)
    assert completed < 80
    await (await connected(air, radio, STRAP)).close()


async def scanned_while(air: BluezDouble, radio: BleakRadio, fault: Callable[[], object]) -> None:
    """Scan, and let ``fault`` happen meanwhile; raises what the scan then raises."""
    async with aclosing(radio.sightings()) as near:
        waiting = asyncio.ensure_future(anext(near))
        await until(lambda: bool(air.discovering))
        fault()
        await asyncio.wait_for(waiting, 20)


async def test_somebody_switches_the_adapter_off(air: BluezDouble, radio: BleakRadio) -> None:
    link = await connected(air, radio, CUFF)
    with pytest.raises(RadioOff, match="switched off: bluetoothctl power on"):
        await scanned_while(air, radio, lambda: air.power(False))
    await asyncio.wait_for(link.gone.wait(), 20)
    with pytest.raises(RadioOff):
        await radio.connect(CUFF, 1.0)
    with pytest.raises(RadioOff):
        await anext(radio.sightings())
    air.power(True)
    await (await connected(air, radio, CUFF)).close()


async def test_the_adapter_is_pulled_out(air: BluezDouble, radio: BleakRadio) -> None:
    """BlueZ tells of no disconnection then: the links end all the same."""
    link = await connected(air, radio, CUFF)
    with pytest.raises(RadioOff, match="hci0 is gone"):
        await scanned_while(air, radio, air.unplug)
    await asyncio.wait_for(link.gone.wait(), 20)
    with pytest.raises(RadioOff):
        await radio.connect(CUFF, 1.0)


async def test_the_links_have_ended_when_the_reader_hears_of_the_adapters_end(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """Also if there is news of it twice."""
    link = await connected(air, radio, CUFF)

    def tell_twice() -> None:
        radio._off("it is off")
        radio._off("it is gone")

    with pytest.raises(RadioOff, match="it is gone"):
        await scanned_while(air, radio, tell_twice)
    assert link.gone.is_set()


async def test_nothing_is_seen_of_an_adapter_that_has_gone(
    air: BluezDouble, radio: BleakRadio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BlueZ answered before it went which connections it holds, and the answer is read after it."""
    await connected(air, radio, CUFF)
    asked = adapter_of(radio).devices

    async def late() -> dict[str, tuple[str, Props]]:
        found = await asked()
        await until(lambda: radio._why_off is not None)
        return found

    monkeypatch.setattr(adapter_of(radio), "devices", late)
    with pytest.raises(RadioOff, match="hci0 is gone"):
        await scanned_while(air, radio, air.unplug)


async def test_a_link_that_is_made_as_the_adapter_goes_is_none(
    air: BluezDouble, radio: BleakRadio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would never end: nobody tells of its end, and the adapter is heard of once."""
    made: list[BleakLink] = []
    connects = radio._connector.connected

    async def late(address: str, within: float) -> BleakLink:
        made.append(await connects(address, within))
        air.unplug()
        await until(lambda: radio._why_off is not None)
        return made[0]

    monkeypatch.setattr(radio._connector, "connected", late)
    with pytest.raises(RadioOff, match="went away"):
        await connected(air, radio, CUFF)
    assert made[0].gone.is_set()


def adapter_of(radio: BleakRadio) -> bluez.Bluez:
    assert radio._bluez is not None
    return radio._bluez


async def test_bluetoothd_ends_and_starts_again(air: BluezDouble, radio: BleakRadio) -> None:
    """Nobody says goodbye, so bleak alone would show the link as alive for ever and never
    connect again.
    """
    link = await connected(air, radio, CUFF)
    await link.pair()
    async with aclosing(radio.sightings()) as near:
        waiting = asyncio.ensure_future(anext(near))
        await until(lambda: bool(air.discovering))
        await air.stop()
        with pytest.raises(RadioOff, match="bluetoothd has ended"):
            await asyncio.wait_for(waiting, 20)
    await asyncio.wait_for(link.gone.wait(), 20)
    with pytest.raises(RadioOff):
        await radio.connect(CUFF, 1.0)
    await air.start()
    again = await connected(air, radio, CUFF)
    came: list[bytes] = []
    await again.subscribe(await one(again, "2A35"), came.append)
    air.send(air.devices[CUFF], "2A35", PRESSURE)
    await until(lambda: came == [PRESSURE])


async def test_values_that_came_before_the_end_are_kept(
    air: BluezDouble, radio: BleakRadio
) -> None:
    """News of the adapter travel by another socket than values: they must not overtake them."""
    link = await connected(air, radio, CUFF)
    came: list[bytes] = []
    await link.subscribe(await one(link, "2A35"), came.append)
    sent = [PRESSURE[:-1] + bytes([number]) for number in range(100)]
    for each in sent:
        air.send(air.devices[CUFF], "2A35", each)
    air.unplug()
    await asyncio.wait_for(link.gone.wait(), 20)
    assert came == sent


async def test_connecting_twice_ends_the_first_link(air: BluezDouble, radio: BleakRadio) -> None:
    first = await connected(air, radio, STRAP)
    came: list[bytes] = []
    await first.subscribe(await one(first, "2A37"), came.append)
    second = await connected(air, radio, STRAP)
    await second.subscribe(await one(second, "2A37"), came.append)
    air.send(air.devices[STRAP], "2A37", b"\x00\x51")
    await until(lambda: bool(came))
    await asyncio.sleep(0.05)
    assert came == [b"\x00\x51"]
    assert first.gone.is_set()


async def test_a_connection_that_a_crash_left_behind(
    air: BluezDouble, radio: BleakRadio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BlueZ keeps it after the process that made it was killed, and the device advertises no more:
    it is told as near, and connecting takes it over. What this process holds itself is not told.
    """
    monkeypatch.setattr("rpm_stream.app.gateway.ble.bleak_radio.HELD_SECONDS", 0.05)
    device = air.devices[STRAP]
    device.known = True
    mine = await connected(air, radio, CUFF)
    async with aclosing(radio.sightings()) as near:
        waiting = asyncio.ensure_future(anext(near))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        air._connect(device)
        await until(lambda: device.resolved)
        assert await asyncio.wait_for(waiting, 20) == (
            STRAP,
            "HR-70A",
            frozenset({"180D", "180F"}),
            None,
        )
        again = await radio.connect(STRAP, 20.0)
        assert [each.uuid for each in await again.characteristics()] == ["2A37", "2A19"]
    assert not mine.gone.is_set()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda air: setattr(air, "powered", False), "switched off: bluetoothctl power on"),
        (lambda air: setattr(air, "plugged", False), "no Bluetooth adapter is plugged in"),
    ],
)
async def test_there_is_no_adapter(
    air: BluezDouble, broken: Callable[[BluezDouble], None], says: str
) -> None:
    broken(air)
    with pytest.raises(RadioOff, match=says):
        async with BleakRadio():
            pass


async def test_another_adapter_is_asked_for(air: BluezDouble) -> None:
    with pytest.raises(RadioOff, match="no Bluetooth adapter hci7 is plugged in"):
        async with BleakRadio(adapter="hci7"):
            pass


async def test_bluez_is_not_installed(tmp_path: Path) -> None:
    async with private_bus(tmp_path):
        with pytest.raises(RadioOff, match="BlueZ is not running: systemctl start bluetooth"):
            async with BleakRadio():
                pass


async def test_there_is_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(RadioOff, match="no D-Bus system bus"):
        async with BleakRadio():
            pass


async def test_leaving_closes_everything(air: BluezDouble) -> None:
    async with BleakRadio() as radio:
        link = await connected(air, radio, STRAP)
    assert link.gone.is_set()
    assert not air.devices[STRAP].connected
    assert not air.discovering

"""What only the bumble back-end has: values before their subscription, its keys, strangers'
advertisements.
"""

from __future__ import annotations

import asyncio
import gc
import json
import stat
import sys
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from bumble import att
from bumble.core import AdvertisingData
from bumble.device import Connection, Device
from support.radio.air import Collected, Spec, part
from support.radio.bumble_air import BumbleAir, BumblePeripheral, bumble_air
from support.radio.home import serving, until

from rpm_stream.app.gateway.ble import bumble_client, bumble_radio, bumble_scan
from rpm_stream.app.gateway.ble.bumble_radio import BumbleRadio
from rpm_stream.app.gateway.ble.known import KnownDevice
from rpm_stream.app.gateway.ble.radio import Link, NotFound, RadioOff

pytestmark = pytest.mark.asyncio

CUFF = Spec(
    "C0:26:DA:01:02:03", "BPM-1", (part("1810", "2A35", "indicate"), part("180D", "2A37", "notify"))
)


async def connected(radio: BumbleRadio, address: str) -> Link:
    async with asyncio.timeout(5.0), aclosing(radio.sightings()) as sightings:
        async for sighting in sightings:
            if sighting.address == address:
                break
    return await radio.connect(address, 5.0)


async def cuff(air: BumbleAir, radio: BumbleRadio) -> tuple[BumblePeripheral, Link, Connection]:
    """A cuff with its end of the connection and ours."""
    device = await air.peripheral(CUFF)
    await device.advertise()
    link = await connected(radio, CUFF.address)
    assert device._connection is not None
    return device, link, device._connection


async def test_what_a_bonded_device_sends_before_it_is_subscribed_anew_waits_and_is_confirmed_then(
    tmp_path: Path,
) -> None:
    """It remembers the subscription of last time, and sends at once."""
    async with bumble_air(tmp_path) as air, air.radio() as radio:
        device, link, connection = await cuff(air, radio)
        server, parts = device.device.gatt_server, device._parts
        early = asyncio.ensure_future(
            server.indicate_subscriber(connection, parts["2A35"][1], b"\x01", force=True)
        )
        await server.notify_subscriber(connection, parts["2A37"][1], b"\x02", force=True)
        await asyncio.sleep(0.1)
        assert not early.done(), "it was confirmed although nobody had it"
        got: dict[str, Collected] = {}
        for one in await link.characteristics():
            if one.uuid in {"2A35", "2A37"}:
                got[one.uuid] = Collected()
                await link.subscribe(one, got[one.uuid])
        await asyncio.wait_for(early, 5.0)
        assert {uuid: each.values for uuid, each in got.items()} == {
            "2A35": [b"\x01"],
            "2A37": [b"\x02"],
        }


async def test_what_nobody_wants_does_not_stop_the_device_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bumble_client, "CLAIM_SECONDS", 0.1)
    async with bumble_air(tmp_path) as air, air.radio() as radio:
        device, link, connection = await cuff(air, radio)
        made = device._parts["2A35"][1]
        await asyncio.wait_for(
            device.device.gatt_server.indicate_subscriber(connection, made, b"\x01", force=True),
            5.0,
        )
        await link.close()


async def test_keys_are_private_and_a_damaged_file_is_told_not_replaced(tmp_path: Path) -> None:
    locked = Spec(CUFF.address, CUFF.name, (part("1810", "2A35", "indicate", encrypted=True),))
    path = tmp_path / "keys.json"
    async with bumble_air(tmp_path) as air:
        device = await air.peripheral(locked)
        await device.advertise()
        async with air.radio() as radio:
            link = await connected(radio, locked.address)
            await link.pair()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert next(iter(json.loads(path.read_text()).values())).keys() == {locked.address}
        path.write_text(path.read_text()[:-20])
        damaged = path.read_text()
        with pytest.raises(RadioOff, match="keys"):
            async with air.radio():
                pass
        assert path.read_text() == damaged


@pytest.mark.parametrize(
    "data",
    [
        b"\x03\x09\xff\xfe",
        b"\x02\x03\x0d",
        b"\x05\x03\x0d\x18\x0f\x18",
        b"\x1f\x09abc",
        b"\x00\x00",
        b"\x05\x06\x01\x02\x03\x04",
    ],
)
async def test_a_strangers_advertisement_may_hold_anything(tmp_path: Path, data: bytes) -> None:
    async with bumble_air(tmp_path) as air:
        stranger, device = (
            await air.peripheral(CUFF),
            await air.peripheral(Spec("C1:26:DA:01:02:03", "Z", CUFF.parts)),
        )
        stranger.device.advertising_data = data
        await stranger.advertise()
        await device.advertise()
        async with air.radio() as radio, aclosing(radio.sightings()) as sightings:
            met = set()
            async with asyncio.timeout(5.0):
                async for sighting in sightings:
                    met.add(sighting.address)
                    if len(met) == 2:
                        break
    assert AdvertisingData.from_bytes(data) is not None


async def test_a_connection_that_was_given_up_and_made_all_the_same_is_ended(
    tmp_path: Path,
) -> None:
    async with bumble_air(tmp_path) as air, air.radio() as radio:
        device = await air.peripheral(CUFF)
        await device.advertise()
        link = await connected(radio, CUFF.address)
        await link.close()
        await until(lambda: not device.connected)
        assert radio._device is not None
        connecting = asyncio.ensure_future(
            radio._device.connect_le(radio._scan.places[CUFF.address])
        )
        # made behind the radio's back, as a controller's race makes it
        stray = await asyncio.wait_for(connecting, 5.0)
        await until(lambda: not device.connected or stray.handle not in radio._device.connections)


@pytest.mark.parametrize("commands", range(1, 6))
async def test_an_adapter_may_be_pulled_out_between_an_answer_and_who_waits_for_it(
    tmp_path: Path, commands: int
) -> None:
    """The reader of the sightings hears of it, and the adapter is used again when it is back."""
    async with bumble_air(tmp_path) as air, air.radio() as radio:
        device = await air.peripheral(CUFF)
        await device.advertise()
        for _ in range(2):
            reading = asyncio.create_task(read_and_connect(radio))
            async with asyncio.timeout(5.0):
                await air.answered(commands)
                air.unplug()
                with pytest.raises(RadioOff):
                    await reading
            air.plug()
            await radio.reset()
        link = await connected(radio, CUFF.address)
        assert await link.characteristics()


async def test_a_link_that_is_made_as_the_adapter_goes_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for an answer, although nobody tells the link that the adapter is gone."""
    async with bumble_air(tmp_path) as air, air.radio() as radio:
        device = await air.peripheral(CUFF)
        await device.advertise()
        goes_on = radio._scan.go_on

        async def late(device: Device | None) -> None:
            await goes_on(device)
            air.unplug()
            await asyncio.sleep(0.05)

        monkeypatch.setattr(radio._scan, "go_on", late)
        with pytest.raises((NotFound, RadioOff)):
            await asyncio.wait_for(connected(radio, CUFF.address), 5.0)


async def test_a_controller_that_lets_no_command_through_is_off_and_can_be_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bumble_scan, "COMMAND_SECONDS", 0.1)
    async with bumble_air(tmp_path) as air, air.radio() as radio:
        device = await air.peripheral(CUFF)
        await device.advertise()
        assert radio._device is not None
        await radio._device.host.command_semaphore.acquire()
        with pytest.raises(RadioOff):
            await asyncio.wait_for(read_and_connect(radio), 5.0)
        monkeypatch.setattr(bumble_radio, "OPEN_SECONDS", 0.5)
        await radio.reset()
        link = await connected(radio, CUFF.address)
        assert await link.characteristics()


async def read_and_connect(radio: BumbleRadio) -> None:
    """Connect to the cuff whenever it is heard, as the hub does."""
    async with aclosing(radio.sightings()) as sightings:
        async for sighting in sightings:
            if sighting.address == CUFF.address:
                with suppress(NotFound):
                    await (await radio.connect(CUFF.address, 0.2)).close()


async def test_a_cuff_is_subscribed_within_a_second_of_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round trip takes two connection intervals of at most 30 ms: sixteen of them are a
    second.
    """
    cuff = Spec(
        CUFF.address,
        CUFF.name,
        (
            part("1810", "2A35", "indicate"),
            part("1810", "2A49", "read", value=b"\x00\x00"),
            part("180F", "2A19", "read", "notify", value=b"\x50"),
            part("1805", "2A2B", "read", "write", value=bytes(10)),
            part("180A", "2A24", "read", value=b"BPM"),
        ),
    )
    asked: list[str] = []
    original = bumble_client.Values.send_request

    async def counted(self: bumble_client.Values, request: att.ATT_PDU) -> att.ATT_PDU:
        asked.append(request.name)
        return await original(self, request)

    monkeypatch.setattr(bumble_client.Values, "send_request", counted)
    async with bumble_air(tmp_path) as air:
        device = await air.peripheral(cuff)
        before: list[int] = []
        device.on_subscribed = lambda uuid: before.append(len(asked)) if uuid == "2A35" else None
        await device.advertise()
        async with serving(air, tmp_path, [KnownDevice(device="cuff-1", address=cuff.address)]):
            await until(lambda: before)
    assert before[0] <= 16, asked


async def test_a_hundred_connections_leave_nothing_behind(tmp_path: Path) -> None:
    """In bumble too: a gateway runs for months, and a cuff connects a dozen times a day."""
    async with bumble_air(tmp_path) as air, air.radio() as radio:
        device = await air.peripheral(CUFF)
        await device.advertise()

        async def connections(count: int) -> None:
            for _ in range(count):
                link = await connected(radio, CUFF.address)
                got = Collected()
                await link.subscribe(
                    next(one for one in await link.characteristics() if one.uuid == "2A35"), got
                )
                assert await device.say("2A35", b"\x01")
                await (device.drop() if count % 2 else link.close())
                await asyncio.wait_for(link.gone.wait(), 5.0)
                await until(lambda: not device.connected)

        await connections(20)
        gc.collect()
        before = sys.getallocatedblocks()
        await connections(100)
        gc.collect()
        grown = sys.getallocatedblocks() - before
    assert grown < 500, f"{grown} blocks after a hundred connections"

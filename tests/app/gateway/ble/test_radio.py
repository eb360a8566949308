"""The Protocol of ``radio.py``, the same for all back-ends: a radio and a device, and what
passes between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
from support.radio.air import Air, Collected, Peripheral, Spec, part

from rpm_stream.app.gateway.ble.radio import (
    GattCharacteristic,
    Link,
    LinkLost,
    NotFound,
    PairingFailed,
    Radio,
    RadioOff,
    Refused,
    Sighting,
)

pytestmark = pytest.mark.asyncio

STRAP = Spec(
    "F0:F1:F2:F3:F4:F5",
    "HR-70A",
    (
        part("180D", "2A37", "notify"),
        part("180F", "2A19", "read", "notify", value=bytes([80])),
        part("1805", "2A2B", "read", "write", value=bytes(10)),
    ),
)
CUFF = Spec("C0:26:DA:01:02:03", "BPM-1", (part("1810", "2A35", "indicate"),))
LOCKED = Spec(
    "C0:26:DA:0A:0B:0C",
    "Lock-1",
    (
        part("1810", "2A35", "indicate", encrypted=True),
        part("180F", "2A19", "read", value=b"\x10", encrypted=True),
    ),
)


async def until(condition: object, within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def seen(radio: Radio, address: str) -> Sighting:
    async with asyncio.timeout(5.0), aclosing(radio.sightings()) as sightings:
        async for sighting in sightings:
            if sighting.address == address:
                return sighting
    raise AssertionError("the iterator ended")


@asynccontextmanager
async def linked(radio: Radio, device: Peripheral) -> AsyncIterator[Link]:
    await device.advertise()
    await seen(radio, device.spec.address)
    link = await radio.connect(device.spec.address, 5.0)
    try:
        yield link
    finally:
        await link.close()


async def named(link: Link, uuid: str) -> GattCharacteristic:
    return next(one for one in await link.characteristics() if one.uuid == uuid)


async def test_an_advertisement_is_told_with_its_name_and_services(air: Air) -> None:
    device = await air.peripheral(STRAP)
    await device.advertise()
    async with air.radio() as radio:
        sighting = await seen(radio, STRAP.address)
    assert sighting.name == "HR-70A"
    assert sighting.services == {"180D", "180F", "1805"}
    assert sighting.rssi is not None
    assert -127 <= sighting.rssi <= 20


async def test_characteristics_have_service_uuid_and_properties(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        found = await link.characteristics()
        assert [
            (one.service, one.uuid, one.properties)
            for one in found
            if one.uuid in {"2A37", "2A19", "2A2B"}
        ] == [
            ("180D", "2A37", {"notify"}),
            ("180F", "2A19", {"read", "notify"}),
            ("1805", "2A2B", {"read", "write"}),
        ]
        assert len({one.handle for one in found}) == len(found)


async def test_notifications_arrive_byte_for_byte_in_order(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        got = Collected()
        await link.subscribe(await named(link, "2A37"), got)
        sent = [bytes([0, beat]) for beat in range(60, 110)]
        for value in sent:
            await device.say("2A37", value)
        await until(lambda: len(got.values) >= len(sent))
        assert got.values == sent


async def test_a_value_longer_than_twenty_octets_is_whole(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        got = Collected()
        await link.subscribe(await named(link, "2A37"), got)
        value = bytes([0x10, 60]) + bytes(range(100))
        await device.say("2A37", value)
        await until(lambda: got.values)
        assert got.values == [value]


async def test_an_indication_is_confirmed_after_it_was_received(air: Air) -> None:
    device = await air.peripheral(CUFF)
    async with air.radio() as radio, linked(radio, device) as link:
        got = Collected()
        await link.subscribe(await named(link, "2A35"), got)
        assert await device.say("2A35", bytes.fromhex("0078005000000000"))
        assert got.values == [bytes.fromhex("0078005000000000")]


async def test_subscribing_twice_delivers_once_to_the_new_callback(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        old, new = Collected(), Collected()
        one = await named(link, "2A37")
        await link.subscribe(one, old)
        await link.subscribe(one, new)
        await device.say("2A37", b"\x00\x48")
        await until(lambda: new.values)
        await asyncio.sleep(0.05)
        assert (old.values, new.values) == ([], [b"\x00\x48"])


async def test_reading_and_writing(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        assert await link.read(await named(link, "2A19")) == bytes([80])
        await link.write(await named(link, "2A2B"), bytes(range(10)), response=True)
        assert device.written == [("2A2B", bytes(range(10)))]


async def test_what_does_not_send_cannot_be_subscribed(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        with pytest.raises(Refused):
            await link.subscribe(await named(link, "2A2B"), Collected())


async def test_a_link_that_the_device_drops_is_gone_and_says_so(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        battery = await named(link, "2A19")
        await device.drop()
        await asyncio.wait_for(link.gone.wait(), 5.0)
        with pytest.raises(LinkLost):
            await link.read(battery)
        await link.close()


async def test_a_request_under_way_ends_with_the_link(air: Air) -> None:
    """What waits for an answer must neither wait on nor look as if the caller had been
    cancelled.
    """
    device = await air.peripheral(STRAP)
    async with air.radio() as radio, linked(radio, device) as link:
        clock = await named(link, "2A2B")
        device.on_written = lambda *_: None
        for _ in range(20):
            task = asyncio.ensure_future(link.write(clock, bytes(10), response=True))
            await asyncio.sleep(0)
            if not device.connected:
                break
            await device.drop()
        with suppress(LinkLost):
            await asyncio.wait_for(task, 5.0)
        assert task.done()
        assert not task.cancelled()


async def test_it_can_be_connected_again_after_a_loss(air: Air) -> None:
    device = await air.peripheral(STRAP)
    async with air.radio() as radio:
        for beat in (60, 61, 62):
            async with linked(radio, device) as link:
                got = Collected()
                await link.subscribe(await named(link, "2A37"), got)
                await device.say("2A37", bytes([0, beat]))
                await until(lambda got=got: got.values)
                assert got.values == [bytes([0, beat])]


async def test_a_device_that_is_not_there_is_not_found(air: Air) -> None:
    device = await air.peripheral(STRAP)
    await device.advertise()
    async with air.radio() as radio:
        await seen(radio, STRAP.address)
        await device.hide()
        with pytest.raises(NotFound):
            await radio.connect(STRAP.address, 0.3)
        await device.advertise()  # the failure leaves nothing behind
        link = await radio.connect(STRAP.address, 5.0)
        await link.close()


async def test_two_devices_at_once_while_sightings_are_read(air: Air) -> None:
    strap, cuff = await air.peripheral(STRAP), await air.peripheral(CUFF)
    await strap.advertise()
    await cuff.advertise()
    async with air.radio() as radio, aclosing(radio.sightings()) as sightings:
        met: set[str] = set()
        async with asyncio.timeout(5.0):
            async for sighting in sightings:
                met.add(sighting.address)
                if met >= {STRAP.address, CUFF.address}:
                    break
        links = await asyncio.gather(
            *(radio.connect(address, 5.0) for address in (STRAP.address, CUFF.address))
        )
        assert [link.address for link in links] == [STRAP.address, CUFF.address]
        await links[0].close()
        # scanning goes on: the strap advertises again
        await asyncio.wait_for(anext(sightings), 5.0)


async def test_a_locked_device_is_paired_and_known_afterwards(air: Air) -> None:
    device = await air.peripheral(LOCKED)
    async with air.radio() as radio, linked(radio, device) as link:
        assert not link.bonded
        await link.pair()
        assert link.bonded
        got = Collected()
        await link.subscribe(await named(link, "2A35"), got)
        assert await device.say("2A35", b"\x01\x02")
        assert got.values == [b"\x01\x02"]
    async with air.radio() as radio, linked(radio, device) as link:
        assert link.bonded
        await link.pair()
        assert await link.read(await named(link, "2A19")) == b"\x10"


async def test_keys_that_the_device_forgot_are_deleted_and_made_anew(air: Air) -> None:
    device = await air.peripheral(LOCKED)
    async with air.radio() as radio:
        async with linked(radio, device) as link:
            await link.pair()
        await device.forget()
        with pytest.raises(PairingFailed):  # BlueZ encrypts, and so finds out, while it connects
            async with linked(radio, device) as link:
                await link.pair()
        async with linked(radio, device) as link:
            assert not link.bonded
            await link.pair()
            assert await link.read(await named(link, "2A19")) == b"\x10"


async def test_an_adapter_that_goes_away_ends_links_and_sightings(air: Air) -> None:
    device = await air.peripheral(STRAP)
    radio = air.radio()
    async with radio, linked(radio, device) as link:
        async with aclosing(radio.sightings()) as sightings:
            other = await air.peripheral(CUFF)
            await other.advertise()
            await asyncio.wait_for(anext(sightings), 5.0)
            air.unplug()
            with pytest.raises(RadioOff):
                async with asyncio.timeout(5.0):
                    async for _ in sightings:
                        pass
        assert link.gone.is_set()
        with pytest.raises(RadioOff):
            await radio.connect(CUFF.address, 1.0)
    with pytest.raises(RadioOff):
        async with radio:
            pass
    air.plug()
    async with radio, linked(radio, device) as link:
        assert await link.read(await named(link, "2A19")) == bytes([80])


async def test_a_reset_ends_links_and_goes_on_scanning(air: Air) -> None:
    device = await air.peripheral(STRAP)
    await device.advertise()
    async with air.radio() as radio, aclosing(radio.sightings()) as sightings:
        await asyncio.wait_for(anext(sightings), 5.0)
        link = await radio.connect(STRAP.address, 5.0)
        await radio.reset()
        assert link.gone.is_set()
        await until(lambda: not device.connected)
        await asyncio.wait_for(anext(sightings), 5.0)
        again = await radio.connect(STRAP.address, 5.0)
        await again.close()

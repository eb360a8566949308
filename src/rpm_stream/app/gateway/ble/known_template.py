"""An allow-list to fill in, made from the devices that are near.

The command is ``gateway ble scan --template > devices.toml``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from rpm_stream.app.gateway.ble.radio import Sighting
from rpm_stream.text import cleaned

# service to the usual name of a device that has it; source: Bluetooth SIG, assigned numbers
SERVICES: dict[str, str] = {
    "180D": "heart rate",
    "1809": "thermometer",
    "1810": "blood pressure",
    "1808": "glucose meter",
    "181F": "continuous glucose",
    "1822": "pulse oximeter",
    "181D": "scale",
    "181B": "body composition",
    "1814": "running speed",
    "183E": "physical activity",
    "1840": "health sensor",
}
# Straps and foot pods send without a bond. Devices that store results ask for one.
_OPEN_TO_ALL = frozenset({"180D", "1814"})
_HEAD = """\
# The devices that this gateway serves. It connects to no other.
# Give each the id that the registry has for it and delete the devices that are not yours.
#   device   the id in the registry                 (needed)
#   address  what identifies the device best; else  (one of the three)
#   name     its whole advertised name, or
#   serial   the number at the end of that name. Anybody can advertise a name: prefer the address.
#   model    as in the registry
#   clock    set its clock after connecting
#   stored   ask for stored records
#   bond     pair before anything else
"""


def template(sightings: Iterable[Sighting]) -> str:
    """Return TOML with the health devices among ``sightings``, each once, strongest first.

    ``device`` is left to fill in.
    """
    nearest: dict[str, Sighting] = {}
    for each in sightings:
        known = nearest.get(each.address)
        if health(each) and (known is None or (each.rssi or -127) >= (known.rssi or -127)):
            nearest[each.address] = each
    ordered = sorted(nearest.values(), key=lambda each: (-(each.rssi or -127), each.address))
    return "\n".join([_HEAD, *(_table(each) for each in ordered or [_EXAMPLE])])


def health(sighting: Sighting) -> list[str]:
    """Return the names of the device's services that this service decodes, if any."""
    return [words for uuid, words in SERVICES.items() if uuid in sighting.services]


_EXAMPLE = Sighting(
    "C0:26:DA:01:02:03", "no health device was seen; this is an example", frozenset({"1810"}), None
)


def _table(sighting: Sighting) -> str:
    listed = ", ".join(
        [*health(sighting), *([f"{sighting.rssi} dBm"] if sighting.rssi is not None else [])]
    )
    name = cleaned(sighting.name or "no name").strip()
    bond = bool(sighting.services.intersection(SERVICES) - _OPEN_TO_ALL)
    return f"""\
# {name} ({listed})
[[device]]
device = ""
address = {json.dumps(sighting.address, ensure_ascii=False)}
clock = true
stored = true
bond = {str(bond).lower()}
"""

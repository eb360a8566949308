"""The marks by which the books recognise that two readings are one measurement.

They are the rule of ``sameness.py`` as columns without a value. The judge publishes the first of
two such readings and not the second. The books find the second by the same rule among the readings
of a patient, in the order of record.

The judge publishes a reading again if it has forgotten the first. That is never a fault. So the
books need no record of the judge, and none can be lost.
"""

from __future__ import annotations

from hashlib import blake2b

from rpm_stream.publish.fhir.observation import Policy
from rpm_stream.records import Reading
from rpm_stream.sameness import BY_TWO_WAYS, MINUTE, measured

ArrivalMarks = tuple[bytes | None, int | None, int | None, int | None, int | None]
NEAR = f"""
  o.same = r.same AND o.told != r.told AND o.at > r.at - {MINUTE} AND o.at < r.at + {MINUTE}
  AND (o.at = r.at OR (o.device != r.device AND (o.loose OR r.loose)))
"""  # the condition of ``sameness.are_one`` on two rows r and o


def marks(reading: Reading, policy: Policy, key: bytes) -> ArrivalMarks:
    """Return the marks of a reading, all None if no Observation is owed.

    - ``same``: patient, vital, number and unit, as a keyed hash.
    - ``at``: the time of measurement.
    - ``device``: the device.
    - ``told``: the entry.
    - ``loose``: whether a device may report the measurement at another second.
    """
    if reading.value is None or policy == "none":
        return (None,) * 5
    one = measured(reading)
    text = f"{reading.patient}\x1f{reading.vital}\x1f{one.value}".encode(errors="surrogatepass")
    same = blake2b(text, digest_size=8, key=key[:64]).digest()
    return same, one.at, one.device, one.entry, reading.vital in BY_TWO_WAYS or one.at % MINUTE == 0

"""What tells the books that two readings are one measurement: the rule of sameness.py, as columns
without a value.

The judge publishes the first of them and says nothing of the second; the books find it by the same
rule among the readings of a patient, in the order of record. What the judge may have forgotten it
publishes: that is never a fault, so no note of the judge is needed, and none can be lost.
"""

from __future__ import annotations

from hashlib import blake2b

from rpm_stream.publish.fhir.observation import Policy
from rpm_stream.records import Reading
from rpm_stream.sameness import BY_TWO_WAYS, MINUTE, measured

Marks = tuple[bytes | None, int | None, int | None, int | None, int | None]
NEAR = f"""
  o.same = r.same AND o.told != r.told AND o.at > r.at - {MINUTE} AND o.at < r.at + {MINUTE}
  AND (o.at = r.at OR (o.device != r.device AND (o.loose OR r.loose)))
"""  # of two rows with such columns: sameness.are_one


def marks(reading: Reading, policy: Policy, key: bytes) -> Marks:
    """``same`` (patient, vital, number and unit, keyed), ``at``, ``device``, ``told`` (the entry),
    and ``loose``: a device may tell of it at another second. Nothing where no Observation is owed.
    """
    if reading.value is None or policy == "none":
        return (None,) * 5
    one = measured(reading)
    text = f"{reading.patient}\x1f{reading.vital}\x1f{one.said}".encode(errors="surrogatepass")
    same = blake2b(text, digest_size=8, key=key[:64]).digest()
    return same, one.at, one.device, one.entry, reading.vital in BY_TWO_WAYS or one.at % MINUTE == 0

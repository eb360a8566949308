"""Observations that turned out wrong: the same resource again, as entered-in-error."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.publish.fhir import observation as fhir
from rpm_stream.publish.fhir import summaries
from rpm_stream.publish.fhir.observation import Published
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import Reading, Window

_IN_ERROR = msgspec.Raw(b'"entered-in-error"')
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def in_error(published: Published) -> Published:
    """Return ``published`` under its own id with status entered-in-error.

    Every other field keeps its bytes.
    """
    return msgspec.structs.replace(
        published, body=_encode({**_fields.decode(published.body), "status": _IN_ERROR})
    )


def taken_back(
    windows: Summaries,
    readings: Iterable[Reading],
    shown: frozenset[str],
    left: Iterable[Window],
    knowledge: Knowledge,
) -> tuple[Published, ...]:
    """Return the messages that correct wrong ``readings`` of one patient.

    Single Observations become entered-in-error. ``shown`` has the ids of summed readings that were
    published singly too. A summary whose window is still kept is written again without them. For an
    older window, ``left`` has its remaining content, and its summary is written again with that. If
    nothing is left, the summary becomes entered-in-error, with the wrong values in it.
    """
    single: list[Reading] = []
    summed: list[Reading] = []
    for reading in readings:
        policy = fhir.publishes(reading, knowledge)
        if policy == "single" or reading.id in shown:
            single.append(reading)
        if policy == "summary":
            summed.append(reading)
    changed, gone, untaken = summaries.take_out(windows, summed, knowledge)
    single += [reading for reading in untaken if reading.id not in shown]
    right = {
        (window.vital, window.start): window for window in left if window.patient == windows.patient
    }
    return (
        *map(in_error, fhir.singles(single, knowledge)),
        *(fhir.summary(window, knowledge) for window in changed),
        *(_without(window, right.get((window.vital, window.start)), knowledge) for window in gone),
    )


def _without(wrong: Window, right: Window | None, knowledge: Knowledge) -> Published:
    """Return the new summary of a window that is not kept any more.

    The start and end of ``wrong`` are used, because the id is made of the service's own times in
    UTC.
    """
    if right is None:
        return in_error(fhir.summary(wrong, knowledge))
    return fhir.summary(msgspec.structs.replace(right, start=wrong.start, end=wrong.end), knowledge)

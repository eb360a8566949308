"""The registry: who wears which device, and the limits of each patient."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from rpm_stream.records.base import Code, KeptName, LimitValue, Offset, Record, Time, Version
from rpm_stream.records.terms import Priority


class Assignment(Record, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A device belongs to a patient in [from, until). ``None`` means without end.

    ``user`` is the patient's slot on a device that several people use (GATT user index). Without it
    the assignment covers all slots.
    """

    patient: KeptName
    from_: Time | None = None
    until: Time | None = None
    user: Annotated[int, Meta(ge=0, le=254, description="GATT user index")] | None = None


class DeviceEntry(Record, frozen=True, kw_only=True):
    """``device/<id>`` of the registry, with all intervals."""

    v: Version = 1
    device: KeptName
    model: Code | None = None
    assignments: tuple[Assignment, ...] = ()
    utc_offset: Offset | None = None


class Recovery(Record, frozen=True, kw_only=True):
    """The values inside which a limit counts as recovered, in the limit's unit."""

    low: LimitValue | None = None
    high: LimitValue | None = None


class Of(Record, frozen=True, kw_only=True):
    """``count`` of the ``last`` readings, all ``within`` so many minutes.

    This is how a condition is sustained if readings are rare.
    """

    count: Annotated[int, Meta(ge=1, le=12)]
    last: Annotated[int, Meta(ge=1, le=12)]
    within: Annotated[int, Meta(ge=1, le=10080, description="minutes")]


class Limit(Record, frozen=True, kw_only=True, rename={"for_": "for"}):
    """An individual limit of one vital.

    A value below ``low`` or above ``high`` breaks it.

    - It breaks at once, or when it has lasted ``for`` minutes of device time, or when ``of`` the
      last readings break it. With both, ``of`` applies to spot readings and ``for`` to others.
    - ``recover`` is a value if the limit has one side, and an object with both if it has two. The
      default is the limit itself.
    - The limit holds in [valid_from, until). An ended limit stays listed, so that a late reading is
      judged by the limit of its time.
    """

    vital: KeptName
    low: LimitValue | None = None
    high: LimitValue | None = None
    recover: LimitValue | Recovery | None = None
    for_: Annotated[int, Meta(ge=0, le=10080, description="minutes")] = 0
    of: Of | None = None
    priority: Priority = "medium"
    unit: Code
    owner: KeptName
    valid_from: Time | None = None
    until: Time | None = None


class TargetWeight(Record, frozen=True, kw_only=True):
    """The weight of a patient at ``at`` (at discharge), or the weight to reach.

    Readings are compared with it until earlier days are known.
    """

    value: LimitValue
    unit: Code
    at: Time


class PatientEntry(Record, frozen=True, kw_only=True):
    """``patient/<id>`` of the registry.

    ``oxygen_scale`` is 2 only on prescription (NEWS2). ``panel`` and ``programme`` name entries
    whose limits apply where the patient has none (CONTRACT 7). ``team`` is the team that looks
    after the patient.
    """

    v: Version = 1
    patient: KeptName
    display: Code | None = None
    born: Code | None = None
    pregnant: bool | None = None
    oxygen_scale: Literal[1, 2] = 1
    on_oxygen: bool | None = None
    expected_every: dict[Code, Annotated[int, Meta(ge=1, description="minutes")]] = {}
    limits: tuple[Limit, ...] = ()
    panel: KeptName | None = None
    programme: KeptName | None = None
    team: KeptName | None = None
    target_weight: TargetWeight | None = None


class PanelEntry(Record, frozen=True, kw_only=True):
    """``panel/<id>`` of the registry: limits for all patients that name the panel."""

    v: Version = 1
    panel: KeptName
    display: Code | None = None
    limits: tuple[Limit, ...] = ()


class ProgrammeEntry(Record, frozen=True, kw_only=True):
    """``programme/<id>`` of the registry: limits for all patients that name the programme."""

    v: Version = 1
    programme: KeptName
    display: Code | None = None
    limits: tuple[Limit, ...] = ()


RegistryEntry: TypeAlias = DeviceEntry | PatientEntry | PanelEntry | ProgrammeEntry

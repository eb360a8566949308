"""All records that the service reads or writes, frozen and without behaviour.

Each file holds one family. Public records of the topics have a version ``v``. ``in_house`` has the
records that one stage hands to the next. Rules, unit conversions, clinical defaults and clocks do
not belong here. The JSON Schemas in ``topics/`` are generated from these types. Import a record
from ``rpm_stream.records``. Only modules below nearly all others (such as ``text``, those of
``knowledge`` and of ``score.memory``) import it from its family's file, because this package loads
all families.
"""

from __future__ import annotations

from rpm_stream.records.accounts import Account
from rpm_stream.records.actions import Action, Forwarded
from rpm_stream.records.alerts import Alert, Now, Sample, Transition
from rpm_stream.records.base import (
    APP_VALUE,
    CLEAN,
    UNREADABLE,
    AppValue,
    Code,
    DecimalText,
    ExactText,
    KeptName,
    KeptOffset,
    LimitValue,
    Name,
    Offset,
    Record,
    SensedText,
    Short,
    Time,
    Unit,
    Version,
)
from rpm_stream.records.frames import Frame, FrameHead, Measurement, Notification
from rpm_stream.records.in_house import Decoded, Finding, FindingKind, Key, Payload, Total
from rpm_stream.records.readings import DEVICE_TIME, Origin, Reading, Readings, Window
from rpm_stream.records.registry import (
    Assignment,
    DeviceEntry,
    Limit,
    Of,
    PanelEntry,
    PatientEntry,
    ProgrammeEntry,
    Recovery,
    RegistryEntry,
    TargetWeight,
)
from rpm_stream.records.rejects import Position, Reject
from rpm_stream.records.scores import Score
from rpm_stream.records.terms import (
    RANK,
    Absent,
    ActionName,
    AlertState,
    Cause,
    Direction,
    Event,
    Priority,
    Reason,
    Stage,
    Trend,
)

__all__ = [
    "APP_VALUE",
    "CLEAN",
    "DEVICE_TIME",
    "RANK",
    "UNREADABLE",
    "Absent",
    "Account",
    "Action",
    "ActionName",
    "Alert",
    "AlertState",
    "AppValue",
    "Assignment",
    "Cause",
    "Code",
    "DecimalText",
    "Decoded",
    "DeviceEntry",
    "Direction",
    "Event",
    "ExactText",
    "Finding",
    "FindingKind",
    "Forwarded",
    "Frame",
    "FrameHead",
    "KeptName",
    "KeptOffset",
    "Key",
    "Limit",
    "LimitValue",
    "Measurement",
    "Name",
    "Notification",
    "Now",
    "Of",
    "Offset",
    "Origin",
    "PanelEntry",
    "PatientEntry",
    "Payload",
    "Position",
    "Priority",
    "ProgrammeEntry",
    "Reading",
    "Readings",
    "Reason",
    "Record",
    "Recovery",
    "RegistryEntry",
    "Reject",
    "Sample",
    "Score",
    "SensedText",
    "Short",
    "Stage",
    "TargetWeight",
    "Time",
    "Total",
    "Transition",
    "Trend",
    "Unit",
    "Version",
    "Window",
]

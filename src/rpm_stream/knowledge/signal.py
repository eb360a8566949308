"""The rows of signal.toml: what a status flag means for judging, and what no body and no sensor
of one body does.
"""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge.tables import Table


class Step(Table, frozen=True):
    """A jump of ``by`` (in the vital's first unit) between neighbours at most ``seconds`` apart.

    Told at the ``times``-th jump; over with a neighbour that does not jump, ``hold_minutes`` after
    the last jump.
    """

    vital: str
    by: Decimal
    seconds: int
    times: int
    hold_minutes: int
    source: str


class OtherUnit(Table, frozen=True):
    """When a value looks sent in another unit than its own: as ratios to this person's usual value.

    Off by more than ``far`` in its own unit, and within ``near`` in another one of its vital.
    """

    vital: str
    near: Decimal
    far: Decimal
    source: str


class Usual(Table, frozen=True):
    """How many of the newest values make a person's usual one (their median), and how many there
    must be.
    """

    kept: int
    least: int
    source: str


class Agreement(Table, frozen=True):
    """Two sensors of one rhythm: more than ``gap`` a minute apart within ``seconds``, ``count``
    times in a row over at least ``minutes``. ``sensors``: what to call the sensor of a
    characteristic.
    """

    gap: Decimal
    seconds: int
    count: int
    minutes: int
    sensors: dict[str, str]
    source: str


class Motion(Table, frozen=True):
    """Which vitals rise with movement, and from which steps a minute or metres a second, at most
    ``seconds`` old, a person counts as moving.
    """

    vitals: frozenset[str]
    cadence: Decimal
    speed: Decimal
    seconds: int
    source: str


class Resent(Table, frozen=True):
    """``length`` values in a row, ``different`` of them different, that stood in this order
    among the last ``kept``.
    """

    vital: str
    length: int
    different: int
    kept: int
    source: str


class Signal(Table, frozen=True):
    """Every status flag once: it keeps a value from judgement, asks for a repeat, or only informs
    (``said_beside``: those that a reader of the alert must know); then the signs of a bad signal
    that no device tells.
    """

    version: str
    never_judged: frozenset[str]
    ask_repeat: frozenset[str]
    informs: frozenset[str]
    said_beside: frozenset[str]
    usual: Usual
    agreement: Agreement
    motion: Motion
    step: tuple[Step, ...]
    other_unit: tuple[OtherUnit, ...]
    resent: tuple[Resent, ...]

    def compared(self) -> set[str]:
        """Every vital whose values are compared with each other."""
        return (
            {row.vital for row in self.step}
            | {row.vital for row in self.other_unit}
            | {row.vital for row in self.resent}
        )

    def vitals(self) -> set[str]:
        """Every vital that a rule names."""
        return self.compared() | self.motion.vitals

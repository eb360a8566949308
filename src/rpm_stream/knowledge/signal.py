"""The rows of signal.toml: the meaning of status flags, and signs of a bad signal.

Such a sign is something that no body, and no sensor of one body, does.
"""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge.tables import Table


class JumpTable(Table, frozen=True):
    """A jump of ``by`` (in the vital's first unit) between neighbours at most ``seconds`` apart.

    It is reported at the ``times``-th jump. It is over with a neighbour that does not jump,
    ``hold_minutes`` after the last jump.
    """

    vital: str
    by: Decimal
    seconds: int
    times: int
    hold_minutes: int
    source: str


class OtherUnit(Table, frozen=True):
    """The sign that a value was sent in another unit than its own.

    ``near`` and ``far`` are ratios to this person's usual value. The value differs by more than
    ``far`` in its own unit and lies within ``near`` in another unit of its vital.
    """

    vital: str
    near: Decimal
    far: Decimal
    source: str


class Usual(Table, frozen=True):
    """How many of the newest values make a person's usual one, their median.

    ``least`` is how many there must be.
    """

    kept: int
    least: int
    source: str


class Agreement(Table, frozen=True):
    """Two sensors of one rhythm that disagree.

    They are more than ``gap`` a minute apart within ``seconds``, ``count`` times in a row over at
    least ``minutes``. ``sensors`` has the names of sensors by characteristic.
    """

    gap: Decimal
    seconds: int
    count: int
    minutes: int
    sensors: dict[str, str]
    source: str


class Motion(Table, frozen=True):
    """The vitals that rise with movement, and when a person counts as moving.

    ``cadence`` is in steps a minute and ``speed`` in metres a second, at most ``seconds`` old.
    """

    vitals: frozenset[str]
    cadence: Decimal
    speed: Decimal
    seconds: int
    source: str


class Resent(Table, frozen=True):
    """``length`` values in a row that came in this order among the last ``kept``.

    ``different`` of them differ from each other.
    """

    vital: str
    length: int
    different: int
    kept: int
    source: str


class Signal(Table, frozen=True):
    """All status flags, and the signs of a bad signal that no device reports.

    Each flag is in one list: it keeps a value from judgement, asks for a repeat, or only informs.
    ``said_beside`` has those that a reader of the alert must know.
    """

    version: str
    never_judged: frozenset[str]
    ask_repeat: frozenset[str]
    informs: frozenset[str]
    said_beside: frozenset[str]
    usual: Usual
    agreement: Agreement
    motion: Motion
    step: tuple[JumpTable, ...]
    other_unit: tuple[OtherUnit, ...]
    resent: tuple[Resent, ...]

    def compared(self) -> set[str]:
        """Return every vital whose values are compared with each other."""
        return (
            {row.vital for row in self.step}
            | {row.vital for row in self.other_unit}
            | {row.vital for row in self.resent}
        )

    def vitals(self) -> set[str]:
        """Return every vital that a rule names."""
        return self.compared() | self.motion.vitals

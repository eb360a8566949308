"""Windows of learned values, as they are kept and stored."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rpm_stream.envelope import StateError
from rpm_stream.score.detectors.ranges import LARGEST, SMALLEST

SINGLE: Final = np.dtype(">f4")
"""How a value of a window is stored.

A window has this type in memory too. A live detector and a restored one thus learn equal numbers.
"""

Window: TypeAlias = NDArray[np.float32]


def stored_window(data: bytes, used: int) -> Window:
    """Return the numbers of a stored window, whose first ``used`` ones were learned.

    Raises StateError where one of these is no value that a detector accepts.
    """
    window = np.frombuffer(data, SINGLE).copy()
    learned = window[:used]
    # wider by a factor of two than what is accepted, because the numbers were rounded
    if not ((learned >= SMALLEST / 2) & (learned <= LARGEST * 2)).all():
        raise StateError("values out of range")
    return window

"""Python's cyclic garbage collector, set for a process that holds the states of many patients."""

from __future__ import annotations

import gc
from typing import Any

AFTER = 10_000  # objects made between two collections; 60 frames leave that many
LOOK_AT_ALL = 100  # every so many full collections, one looks at all objects


def settle_collector() -> None:
    """Keep what lives long out of the cyclic collector, and run it less often.

    Reference counts free the objects of a batch. What lives long is the code, the tables, the
    registry and the states. A full collection looks at all objects and stops everything meanwhile:
    0.84 s with the states of 10,000 patients. So what a full collection has found in use is left
    out of later ones, except for one of every hundred. That one finds cycles that were dropped
    after they had been left out.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(AFTER, 10, 10)
    if _keep_survivors not in gc.callbacks:
        gc.callbacks.append(_keep_survivors)


def _keep_survivors(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 2:
        if gc.get_stats()[2]["collections"] % LOOK_AT_ALL:
            gc.freeze()
        else:
            gc.unfreeze()

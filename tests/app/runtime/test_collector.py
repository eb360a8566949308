"""What lives long is seldom looked at by the cyclic collector, and is freed when dropped."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from rpm_stream.app.runtime.collector import LOOK_AT_ALL, _keep_survivors, settle_collector

class State:
    pass

settle_collector()
settle_collector()
assert gc.callbacks.count(_keep_survivors) == 1
settled = gc.get_freeze_count()
live = [State() for _ in range(10_000)]
gc.collect(0)
gc.collect(1)
assert gc.get_freeze_count() == settled
gc.collect()
assert gc.get_freeze_count() >= settled + len(live)
assert len(gc.get_objects()) < 1_000
gone = [weakref.ref(state) for state in live]
live.clear()
assert not any(ref() for ref in gone)
one = State()
one.itself = one
gone = weakref.ref(one)
gc.collect()
del one
for _ in range(LOOK_AT_ALL + 1):
    gc.collect()
assert gone() is None
"""


def test_a_full_collection_leaves_what_it_found_in_use_out_of_later_ones() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)

"""Settings of a run of the faults from the environment: its size, and the seed that repeats it."""

from __future__ import annotations

import os
import secrets

HOW_MANY = os.environ.get("RPM_FAULTS", "short")
SEED = int(os.environ.get("RPM_SEED", secrets.randbelow(10**6)))

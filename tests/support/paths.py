"""Where tests find files: in this checkout, and in the public data beside it."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_SHARED = Path(os.environ.get("RPM_SHARED", _ROOT.parent / "shared"))


def repository(*parts: str) -> Path:
    """Return a path in this checkout: ``repository("topics", "README.md")``."""
    return _ROOT.joinpath(*parts)


def shared_data(*parts: str) -> Path:
    """Return a path below ``data`` in the folder that RPM_SHARED names.

    Without RPM_SHARED the folder is ``shared`` beside the checkout. The data are public and not
    part of this repository. A test that needs a file reports when it is missing.
    """
    return _SHARED.joinpath("data", *parts)

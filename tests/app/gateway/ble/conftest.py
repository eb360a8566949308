"""The airs of the back-ends: each test of the Protocol runs in all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.radio.air import Air, OpenAir
from support.radio.bleak_air import bleak_air
from support.radio.bumble_air import bumble_air

AIRS: dict[str, OpenAir] = {"bumble": bumble_air, "bleak": bleak_air}


@pytest_asyncio.fixture(params=list(AIRS))
async def air(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Air]:
    """A world with the radio of one back-end."""
    async with AIRS[request.param](tmp_path) as made:
        yield made

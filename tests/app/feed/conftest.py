"""One feed for the tests of this folder; they use alerts and patients of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.feed.running import RunningFeed, running_feed


@pytest.fixture(scope="package")
def feed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFeed]:
    """The feed in its own process, with a token."""
    with running_feed(kafka, tmp_path_factory.mktemp("feed")) as running:
        yield running

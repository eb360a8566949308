"""What several test modules share: one embedded Kafka for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rpm_stream.app.broker import Broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of an empty Kafka on a free port; started once, when the first test asks for it.

    Tests share it: use topics and groups of your own (a unique prefix), and never stop or pause it.
    """
    with Broker(tmp_path_factory.mktemp("broker"), port=0) as broker:
        yield broker.bootstrap

"""``rpm-stream gateways``: which were heard, and which are silent."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.cli.output import write_line
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.settings import Settings

Silent = Annotated[bool, typer.Option("--silent", help="Only those that are silent.")]


def gateways(silent: Silent = False, bootstrap: Bootstrap = None) -> None:
    """The gateways of the last 14 days, one JSON object a line, the silent ones first.

    A gateway is silent that has sent nothing for one and a half times its usual pause (an hour at
    least), while somebody wears a device of it.

    Example: rpm-stream gateways --silent
    """
    from rpm_stream.app.cli.progress import TopicBars
    from rpm_stream.app.kafka.broker_time import BrokerTime
    from rpm_stream.app.operate.silent_gateways import Gateways, Heard

    settings = Settings()
    if bootstrap:
        settings = settings.model_copy(update={"bootstrap": bootstrap})

    async def look() -> list[Heard]:
        clock = Clock()
        await BrokerTime(settings, clock, "reconcile").try_to_begin()
        with TopicBars() as progress:
            return await Gateways(settings.bootstrap).look(clock.now(), progress)

    found = asyncio.run(look())
    for each in found:
        if each.silent or not silent:
            write_line(each)

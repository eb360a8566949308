"""``rpm-stream gateways``: the gateways that were heard, and those that are silent."""

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
    """List the gateways of the last 14 days, one JSON object a line, silent ones first.

    A gateway is silent when it has sent nothing for one and a half times its usual pause, and at
    least an hour, while a patient wears one of its devices.

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

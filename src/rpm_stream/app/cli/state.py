"""``rpm-stream state``: are the agents' states whole, and one that is not made anew from the topics."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import msgspec
import typer

from rpm_stream.app.errors import CheckFailed
from rpm_stream.app.settings import Settings

Bootstrap = Annotated[str | None, typer.Option(help="Kafka, host:port[,host:port]; default: RPM_BOOTSTRAP.")]

state_app = typer.Typer(help="The agents' states in their changelogs: are they whole; made anew.", no_args_is_help=True)


@state_app.command()
def check(bootstrap: Bootstrap = None) -> None:
    """The states that cannot be restored, one JSON object a line, by their places; exit 1 if there are any.

    Example: rpm-stream state check
    """
    from rpm_stream.app.state_rebuild import broken

    found = asyncio.run(broken(bootstrap or Settings().bootstrap))
    for one in found:
        _say({"stage": one.stage, "partition": one.partition, "offset": one.offset, "fault": one.fault})
    if found:
        raise CheckFailed(f"{len(found)} states cannot be restored; 'rpm-stream state rebuild' makes them anew")


@state_app.command()
def rebuild(bootstrap: Bootstrap = None) -> None:
    """Makes each state that cannot be restored anew from the topics, up to where its agent had come.

    As far as the topics still hold its messages (see since); what a person learned longer ago is learned again. The
    agent that ended because of it starts again by itself. With the settings RPM_TIME and RPM_KNOWLEDGE of the agents.

    Example: rpm-stream state rebuild
    """
    from rpm_stream.app.stage import knowledge_of
    from rpm_stream.app.state_rebuild import broken
    from rpm_stream.app.state_rebuild import rebuild as made_anew

    settings = Settings()
    settings = settings.model_copy(update={"bootstrap": bootstrap or settings.bootstrap})
    knowledge = knowledge_of(settings)
    for one in asyncio.run(broken(settings.bootstrap)):
        done = asyncio.run(made_anew(settings, knowledge, one))
        place = {"stage": one.stage, "partition": one.partition, "offset": one.offset}
        _say({**place, "messages": done.messages, "since": done.since})


def _say(line: dict[str, object]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")

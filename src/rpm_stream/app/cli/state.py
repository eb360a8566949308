"""``rpm-stream state``: check the agents' states, and rebuild broken ones from the topics."""

from __future__ import annotations

import asyncio

import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.cli.output import write_line
from rpm_stream.app.runtime.errors import CheckFailed
from rpm_stream.app.runtime.settings import Settings

state_app = typer.Typer(
    help="The agents' states in their changelogs: check and rebuild.", no_args_is_help=True
)


@state_app.command()
def check(bootstrap: Bootstrap = None) -> None:
    """Print the lost and unreadable states, one JSON object a line. Exit 1 if there are any.

    A state is named by its place. A line without offset is a whole partition, whose changelog holds
    less than its agent had written. A state with ``since`` is held: its messages wait, and the
    others go on.

    Example: rpm-stream state check
    """
    from rpm_stream.app.operate.rebuild_state import look

    found = asyncio.run(look(bootstrap or Settings().bootstrap))
    for gone in found.gone:
        write_line({"stage": gone.stage, "partition": gone.partition, "fault": gone.fault})
    for one in found.broken:
        held = {"kept_from": one.held.offset, "since": one.held.at} if one.held else {}
        write_line(
            {
                "stage": one.stage,
                "partition": one.partition,
                "offset": one.offset,
                "fault": one.fault,
                **held,
            }
        )
    if found.gone or found.broken:
        partitions = f"the states of {len(found.gone)} partitions are lost, " if found.gone else ""
        raise CheckFailed(
            f"{partitions}{len(found.broken)} states cannot be restored;"
            " 'rpm-stream state rebuild' makes them again"
        )


@state_app.command()
def rebuild(bootstrap: Bootstrap = None) -> None:
    """Rebuild each lost or unreadable state from the topics, up to where its agent had come.

    Only the messages that the topics still hold can be used (see since). Values learned from older
    messages are learned again. An agent that ended because of the state starts again by itself. An
    agent that keeps the messages of a patient or a device applies them within seconds, in their
    order. Use the agents' settings RPM_TIME and RPM_KNOWLEDGE.

    Example: rpm-stream state rebuild
    """
    from rpm_stream.app.operate.rebuild_state import look, rebuild_all
    from rpm_stream.app.operate.rebuild_state import rebuild as made_anew
    from rpm_stream.app.stages.stage import knowledge_of

    settings = Settings()
    settings = settings.model_copy(update={"bootstrap": bootstrap or settings.bootstrap})
    knowledge = knowledge_of(settings)
    for gone in asyncio.run(look(settings.bootstrap)).gone:
        whole = asyncio.run(rebuild_all(settings, knowledge, gone))
        place: dict[str, object] = {"stage": gone.stage, "partition": gone.partition}
        write_line(
            {**place, "states": whole.states, "messages": whole.messages, "since": whole.since}
        )
    for one in asyncio.run(look(settings.bootstrap)).broken:
        done = asyncio.run(made_anew(settings, knowledge, one))
        place = {"stage": one.stage, "partition": one.partition, "offset": one.offset}
        write_line({**place, "messages": done.messages, "since": done.since})

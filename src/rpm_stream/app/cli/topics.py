"""``rpm-stream topics``: create and compare the nine topics, and give them more partitions."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.kafka.access import Role
from rpm_stream.app.runtime.errors import CheckFailed
from rpm_stream.app.runtime.settings import Settings

Partitions = Annotated[int | None, typer.Option(min=1, max=512, help="The same on every topic.")]
Replication = Annotated[int | None, typer.Option(min=1, max=7, help="Replicas; 3 in production.")]


def apply(
    bootstrap: Bootstrap = None, partitions: Partitions = None, replication: Replication = None
) -> None:
    """Create missing topics and set the configuration of the others.

    Prints one JSON line for each thing done. The number of partitions of an existing topic never
    changes, because keys would move and lose their order.

    Example: rpm-stream topics apply --bootstrap 127.0.0.1:9092
    """
    settings = Settings()
    place = bootstrap or settings.bootstrap
    counts = (partitions or settings.partitions, replication or settings.replication)
    from rpm_stream.app.kafka import topics as topic_admin

    _print("done", asyncio.run(topic_admin.apply(place, *counts)))


def check(
    bootstrap: Bootstrap = None, partitions: Partitions = None, replication: Replication = None
) -> None:
    """Compare the topics with the wanted ones. Exit 1 when they differ.

    Prints one JSON line for each difference.

    Example: rpm-stream topics check --bootstrap 127.0.0.1:9092
    """
    settings = Settings()
    place = bootstrap or settings.bootstrap
    counts = (partitions or settings.partitions, replication or settings.replication)
    from rpm_stream.app.kafka import layout
    from rpm_stream.app.kafka import topics as topic_admin

    differences = asyncio.run(topic_admin.check(place, *counts))
    if fault := asyncio.run(layout.fault_of(place)):
        differences.append(fault)
    _print("differs", differences)
    if differences:
        raise CheckFailed(
            f"{len(differences)} differences; rpm-stream topics apply mends all but counts, topics"
            " grow more partitions"
        )


def grow(
    partitions: Annotated[
        int, typer.Option(min=1, max=512, help="The new number for every topic.")
    ],
    bootstrap: Bootstrap = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")
    ] = False,
) -> None:
    """Give every topic more partitions, and move the data of each key to its new partition.

    Prints one JSON line for each step. Stop the stages first. After an interruption, even by a
    kill, run it again and it goes on. No stage starts before it is done. It also mends topics to
    which partitions were added in another way. See deploy/README.md.

    Example: rpm-stream topics grow --partitions 8 --dry-run
    """
    from rpm_stream.app.cli.progress import TopicBars
    from rpm_stream.app.operate.growth import grow as growth

    settings = Settings()
    asked = growth.GrowthRequest(bootstrap or settings.bootstrap, partitions, settings.replication)
    with TopicBars() as bars:
        if not dry_run:
            asyncio.run(growth.grow(asked, lambda line: _print("done", [line]), bars))
        elif not asyncio.run(growth.plan(asked, lambda line: _print("would", [line]), bars)):
            _print("would", ["nothing to do"])


def acls(
    user: Annotated[
        list[str] | None,
        typer.Option(
            help="A gateway's own user, its id; repeat it for more. They replace the user gateway."
        ),
    ] = None,
    strimzi: Annotated[
        str | None, typer.Option(help="Print KafkaUsers for Strimzi's cluster of this name.")
    ] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Print the rights of each role for your own cluster.

    They are kafka-acls.sh commands, or Strimzi's KafkaUsers.

    Example: rpm-stream topics acls --bootstrap kafka:9092 --user gw-17
    """
    from rpm_stream.app.kafka import acl_text

    users = {role.value: role for role in Role if role is not Role.GATEWAY or not user}
    users |= dict.fromkeys(user or (), Role.GATEWAY)
    if strimzi is not None:
        sys.stdout.write(acl_text.kafka_users(users, strimzi))
        return
    for line in acl_text.commands(users, bootstrap or Settings().bootstrap):
        sys.stdout.write(line + "\n")


def schemas(
    write: Annotated[bool, typer.Option("--write", help="Renew the files.")] = False,
) -> None:
    """Compare the schema files with the records (for maintainers, in a checkout).

    Example: rpm-stream topics schemas --write
    """
    from rpm_stream.app.kafka import schemas as topic_schemas
    from rpm_stream.app.kafka import topics as topic_admin

    root = topic_admin.topics_root()
    if write:
        _print("written", topic_schemas.write(root))
    elif drifted := topic_schemas.drift(root):
        raise CheckFailed(
            f"schemas differ from the records: {', '.join(drifted)}; rpm-stream topics schemas"
            " --write"
        )


def _print(what: str, lines: list[str]) -> None:
    for line in lines:
        sys.stdout.write(json.dumps({what: line}) + "\n")
        sys.stdout.flush()

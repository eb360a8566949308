"""``rpm-stream replay --from-kafka``: its own options, and its work."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from rpm_stream.app.cli.output import write_line
from rpm_stream.app.cli.times import duration, utc_time
from rpm_stream.app.runtime.errors import CheckFailed, UsageError
from rpm_stream.app.runtime.settings import Settings

if TYPE_CHECKING:
    from rpm_stream.app.operate.compare_replay import Comparison
    from rpm_stream.app.operate.replay_topics import ReplayRequest
    from rpm_stream.knowledge.registry import Registry
    from rpm_stream.pipeline.replay import LineType, Replay

FromKafka = Annotated[
    bool, typer.Option("--from-kafka", help="Replay the topics of a broker instead of files.")
]
Since = Annotated[
    str | None,
    typer.Option("--from", help="With --from-kafka: since when (RFC 3339); default: all."),
]
Stage = Annotated[
    str,
    typer.Option(help="With --from-kafka: begin with frames (ingest) or with readings (judge)."),
]
WarmUp = Annotated[
    str, typer.Option(help="With --from: how long before it to replay for the state alone.")
]
Compare = Annotated[
    bool, typer.Option("--compare", help="With --from-kafka: print how the topics differ.")
]
Publish = Annotated[
    str | None,
    typer.Option(help="With --compare, 'observations': write those that differ, never alerts."),
]


class Options(NamedTuple):
    """The options of ``--from-kafka``, as typed."""

    since: str | None
    until: str | None
    stage: str
    warm_up: str
    compare: bool
    publish: str | None
    bootstrap: str | None


def check_unused(options: Options) -> None:
    """Raise UsageError where an option of --from-kafka is given without it."""
    if options.since or options.compare or options.publish or options.bootstrap:
        raise UsageError("--from, --compare, --publish and --bootstrap need --from-kafka")


def from_kafka(options: Options, run: Replay, kinds: Sequence[LineType]) -> None:
    """Print the lines of the window, or with --compare the differences from the topics.

    Raises CheckFailed if there are differences, and UsageError for wrong options, or when the
    broker is away or lacks a topic.
    """
    asked = _asked(options)
    if options.publish not in (None, "observations") or (options.publish and not options.compare):
        raise UsageError("--publish: only observations can be published, and only with --compare")
    if options.publish and "observation" not in kinds:
        raise UsageError("--publish observations: they must be compared, so add them to --emit")
    if not options.compare:
        asyncio.run(_print(asked, run))
        return
    with tempfile.TemporaryDirectory(prefix="rpm-compare-") as folder:
        differ, published = asyncio.run(
            _compare(asked, run, kinds, (Path(folder), bool(options.publish)))
        )
    if options.publish:
        sys.stdout.write(f'{{"type":"published","observations":{published}}}\n')
    if differ:
        raise CheckFailed(f"{differ} records differ from what the topics hold")


def registry(options: Options) -> Registry:
    """Return the broker's registry. Raises UsageError."""
    from rpm_stream.app.registry.topic import read

    return asyncio.run(read(options.bootstrap or Settings().bootstrap))


def _asked(options: Options) -> ReplayRequest:
    from rpm_stream.app.operate.replay_topics import SOURCES, ReplayRequest

    stage = next((each for each in SOURCES if each == options.stage), None)
    if stage is None:
        raise UsageError(f"--stage: {options.stage!r} is not one of {', '.join(SOURCES)}")
    warm_up = duration("--warm-up", options.warm_up) if options.since else timedelta()
    return ReplayRequest(
        bootstrap=options.bootstrap or Settings().bootstrap,
        since=utc_time("--from", options.since),
        until=utc_time("--until", options.until),
        stage=stage,
        warm_up=warm_up,
    )


async def _print(asked: ReplayRequest, run: Replay) -> None:
    from rpm_stream.app.cli.progress import TopicBars
    from rpm_stream.app.operate.replay_topics import replayed

    with TopicBars() as progress:
        async for line in replayed(asked, run, progress):
            sys.stdout.buffer.write(line.encode())


async def _compare(
    asked: ReplayRequest, run: Replay, kinds: Sequence[LineType], scratch: tuple[Path, bool]
) -> tuple[int, int]:
    """Return how many records differ, and how many Observations were published.

    Each difference is printed on stdout.
    """
    from rpm_stream.app.cli.progress import TopicBars
    from rpm_stream.app.operate.compare_replay import Comparison, publish
    from rpm_stream.app.operate.replay_topics import replayed

    comparison = Comparison(scratch[0] / "records.sqlite")
    try:
        await comparison.begin(asked.bootstrap, asked.until)
        with TopicBars() as progress:
            async for line in replayed(asked, run, progress):
                comparison.replayed(line)
            for kind in kinds:
                await comparison.read(asked.bootstrap, kind, (asked.since, asked.until), progress)
        differ = _say(comparison)
        return differ, await publish(asked.bootstrap, comparison.corrections()) if scratch[1] else 0
    finally:
        comparison.close()


def _say(comparison: Comparison) -> int:
    count = 0
    # only the last count is used
    for count, difference in enumerate(comparison.differences(), start=1):  # noqa: B007
        write_line(difference)
    return count

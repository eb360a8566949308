"""The progress of a command that reads topics: bars on a terminal's stderr, else nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class TopicBars:
    """A bar for each topic, while the block lasts.

    Call it with the topic, the records read, and all records.
    """

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, topic: str, done: int, total: int) -> None:
        """Show how far a topic was read."""
        if topic not in self._tasks:
            self._tasks[topic] = self._progress.add_task(topic, total=total)
        self._progress.update(self._tasks[topic], completed=done)

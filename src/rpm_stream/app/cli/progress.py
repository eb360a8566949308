"""Progress of a command that reads topics, on stderr: a bar on a terminal, else nothing."""

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
    """A bar a topic, while the block lasts; call it with topic, records read, records in all."""

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

"""The progress of a command that reads topics: bars on a terminal's stderr, else nothing."""

from __future__ import annotations

from typing import Self

from rich.progress import MofNCompleteColumn, TaskID, TimeElapsedColumn

from rpm_stream.app.runtime.bars import bar_on_stderr


class TopicBars:
    """A bar for each topic, while the block lasts.

    Call it with the topic, the records read, and all records.
    """

    def __init__(self) -> None:
        self._progress = bar_on_stderr(MofNCompleteColumn(), TimeElapsedColumn())
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, topic: str, done: int, total: int) -> None:
        """Show how far a topic was read."""
        if topic not in self._tasks:
            self._tasks[topic] = self._progress.add_task(topic, total=total)
        self._progress.update(self._tasks[topic], completed=done)

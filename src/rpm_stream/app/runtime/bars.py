"""The look of a progress bar on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn


def bar_on_stderr(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """Return a progress bar on stderr, because stdout is data. It shows on a terminal only.

    ``columns`` stand behind the bar. ``transient``: the bar disappears at the end.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=console,
        transient=transient,
        disable=not console.is_terminal,
    )

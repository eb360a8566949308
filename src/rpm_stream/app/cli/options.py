"""Options of several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka, host:port[,host:port]; default: RPM_BOOTSTRAP.")
]
OwnTables = Annotated[
    Path | None, typer.Option(help="Folder with own tables, over the shipped ones.")
]

"""Options of several commands."""

from __future__ import annotations

from typing import Annotated

import typer

Bootstrap = Annotated[
    str | None, typer.Option(help="Kafka, host:port[,host:port]; default: RPM_BOOTSTRAP.")
]

"""Logging, set up in one place: one JSON line an event on stderr, our own and the libraries' alike.

The libraries log what they send and receive at DEBUG, which is patient data: they are heard from
WARNING on, whatever level is asked for. A command that ends with a line of its own hears nothing of
them: what fails is raised to it.
"""

from __future__ import annotations

import logging
import sys

import structlog

LIBRARIES = (
    "aiokafka",
    "asyncio",
    "bleak",
    "bumble",
    "dbus_fast",
    "faust",
    "httpcore",
    "httpx",
    "mode",
    "nicegui",
    "uvicorn",
)
# What a library calls an error and mends by itself within a second, at almost every start; or what
# we say ourselves.
HARMLESS = {
    "aiokafka.consumer.group_coordinator": "Group Coordinator Request failed",
    "uvicorn.error": "[Errno",  # a port that is taken
}
SELDOM_SECONDS = 10.0  # without a broker aiokafka says the same hundreds of times a second


class _Seldom(logging.Filter):
    """Of a library's same line one each ``SELDOM_SECONDS``, and none of ``HARMLESS``."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be said."""
        line = (record.name, str(record.msg))
        harmless = HARMLESS.get(record.name)
        if harmless is not None and line[1].startswith(harmless):
            return False
        if record.created - self._said.get(line, 0.0) < SELDOM_SECONDS:
            return False
        self._said[line] = record.created
        return True


def configure_log(level: str, libraries: str = "CRITICAL") -> None:
    """Log from ``level`` on; what the libraries say from ``libraries`` on, never below WARNING.

    May be called again.
    """
    levels = logging.getLevelNamesMapping()
    first: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=max(logging.WARNING, levels[level]), handlers=[handler], force=True)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, levels[libraries]))
    structlog.configure(
        processors=[*first, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

"""Logging, set up in one place. Each event is one JSON line on stderr.

Lines of libraries have the same form. The libraries log at DEBUG what they send and receive, which
is patient data. So their level is never below WARNING, whatever level is set. A command that ends
with a line of its own logs nothing of them, because their failures reach it as exceptions.
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
# Errors that a library logs and recovers from within a second, at almost every start, or that the
# service reports by itself.
HARMLESS = {
    "aiokafka.consumer.group_coordinator": "Group Coordinator Request failed",
    "uvicorn.error": "[Errno",  # a port that is taken
}
SELDOM_SECONDS = 10.0  # without a broker aiokafka logs the same line hundreds of times a second


class _Seldom(logging.Filter):
    """Pass a library's same line once in ``SELDOM_SECONDS``, and never one of ``HARMLESS``."""

    def __init__(self) -> None:
        super().__init__()
        self._shown_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is logged."""
        line = (record.name, str(record.msg))
        harmless = HARMLESS.get(record.name)
        if harmless is not None and line[1].startswith(harmless):
            return False
        if record.created - self._shown_at.get(line, 0.0) < SELDOM_SECONDS:
            return False
        self._shown_at[line] = record.created
        return True


def configure_log(level: str, libraries: str = "CRITICAL") -> None:
    """Log from ``level`` on, and lines of libraries from ``libraries`` on.

    The level of the libraries is never below WARNING. The function may be called again.
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

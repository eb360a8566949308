"""A TLS context that follows its files, so that renewed certificates need no restart.

A Kafka client holds one context for its life, and connects with it again and again.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import structlog

from rpm_stream.app.runtime.errors import UsageError

log = structlog.get_logger()

# of each file: time of its last change, inode, size; None where it cannot be read
Marks: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class FollowingContext(ssl.SSLContext):
    """Opens each connection with the certificates that are on disk at that moment.

    ``load`` makes a context from ``files``, and raises UsageError where they are wrong. The first
    time that error is raised. Later the context that was loaded last is kept, and the files are
    tried again with the next connection: one of a pair may be written before the other.

    What is open stays open, with the certificates that it was opened with.
    """

    def __new__(cls, _load: Callable[[], ssl.SSLContext], _files: Sequence[Path]) -> Self:
        """Return a context without trust: it opens no connection itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, load: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
        self._load = load
        self._files = tuple(files)
        self._loaded = self._marks(), load()

    def current(self) -> ssl.SSLContext:
        """Return the context of the files as they are now."""
        known, context = self._loaded
        found = self._marks()
        if found == known:
            return context
        try:
            self._loaded = found, self._load()
        except UsageError as error:
            log.warning("kafka.certificates_unusable", error=str(error))
            return context
        log.info("kafka.certificates_renewed")
        return self._loaded[1]

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Open a connection of an event loop."""
        return self.current().wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Open a connection of a socket."""
        return self.current().wrap_socket(*args, **options)

    def _marks(self) -> Marks:
        return tuple(_mark(file) for file in self._files)


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size

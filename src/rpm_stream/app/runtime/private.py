"""Files and folders that only their owner may read: what the service keeps on a disk is data of
patients.

Whatever creates a file or a folder of the service goes through here. The mode is set when the file
is created, so that no moment is left in which others may read it; what an older release left open
is closed when it is opened again. SQLite gives its journal and its log the mode of the database.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
UMASK = 0o077  # for the process of a command and for children that write files
OTHERS = stat.S_IRWXG | stat.S_IRWXO
SQLITE_BESIDE = ("", "-wal", "-shm", "-journal")  # what SQLite may have left beside a database


def private_folder(path: Path) -> Path:
    """``path``, with every folder that was missing on the way made for its owner alone. Raises
    OSError.

    A folder that was there keeps its mode: others may have their own files in it.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for folder in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker
            folder.mkdir(FOLDER_MODE)
    path.mkdir(exist_ok=True)  # raises where a file lies in the way
    return path


def open_private(path: Path, flags: int) -> int:
    """As ``os.open``, creating the file if it is missing, for its owner alone; an older one is
    closed to others.
    """
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        _close_to_others(handle)
    except BaseException:
        os.close(handle)
        raise
    return handle


def private_file(path: Path) -> Path:
    """``path``, created empty if it is missing, for its owner alone: for a library that opens it
    by name. OSError.
    """
    os.close(open_private(path, os.O_RDWR))
    return path


def private_database(path: Path) -> Path:
    """As ``private_file`` for a database of SQLite; its folder is made where it is missing.

    Raises OSError.
    """
    private_folder(path.parent)
    private_file(path)
    for suffix in SQLITE_BESIDE[1:]:
        tighten(path.with_name(path.name + suffix))
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write the whole file anew, for its owner alone. Raises OSError."""
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)


def replace_private(path: Path, content: bytes, sync: bool = True) -> None:
    """Replace a small file whole or not at all, for its owner alone; with ``sync`` also when the
    power fails.

    Raises OSError.
    """
    private_folder(path.parent)
    beside = path.with_name(f"{path.name}.tmp")
    beside.unlink(missing_ok=True)
    with os.fdopen(open_private(beside, os.O_WRONLY | os.O_EXCL), "wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)


def tighten(path: Path) -> None:
    """Close a file, or a folder with all that is in it, to others.

    What is not there, or not ours, stays as it is.
    """
    if path.is_symlink() or not path.exists():
        return
    with suppress(PermissionError, FileNotFoundError):  # somebody else's; or just deleted
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            path.chmod(mode & ~OTHERS)
    if path.is_dir():
        for each in path.iterdir():
            tighten(each)


def _close_to_others(handle: int) -> None:
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_mode & OTHERS:
        with suppress(PermissionError):  # somebody else's file, which we may write to
            os.fchmod(handle, stat.S_IMODE(found.st_mode) & ~OTHERS)

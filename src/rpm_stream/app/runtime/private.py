"""Files and folders that only their owner may read.

The files of the service hold data of patients, so every file and folder of the service is created
here. The mode is set when the file is created, so there is no moment in which others may read it. A
file that an older release left open to others is closed when it is opened again. SQLite gives its
journal and its log the mode of the database.
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
    """Create ``path`` and its missing parents for their owner alone, and return ``path``.

    A folder that exists keeps its mode, because others may have their own files in it. Raises
    OSError.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for folder in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker
            folder.mkdir(FOLDER_MODE)
    path.mkdir(exist_ok=True)  # raises where a file lies in the way
    return path


def open_private(path: Path, flags: int) -> int:
    """As ``os.open``, but a missing file is created for its owner alone.

    A file that exists is closed to others.
    """
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        _close_to_others(handle)
    except BaseException:
        os.close(handle)
        raise
    return handle


def private_file(path: Path) -> Path:
    """Create an empty file at ``path`` for its owner alone if it is missing, and return ``path``.

    It is for a library that opens the file by name. Raises OSError.
    """
    os.close(open_private(path, os.O_RDWR))
    return path


def private_database(path: Path) -> Path:
    """As ``private_file``, for an SQLite database. A missing folder is created.

    Raises OSError.
    """
    private_folder(path.parent)
    private_file(path)
    for suffix in SQLITE_BESIDE[1:]:
        tighten(path.with_name(path.name + suffix))
    return path


def write_private(path: Path, content: bytes) -> None:
    """Replace the content of the file, for its owner alone. Raises OSError."""
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)


def replace_private(path: Path, content: bytes, sync: bool = True) -> None:
    """Replace a small file whole or not at all, for its owner alone.

    With ``sync`` this holds for a power failure too. Raises OSError.
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
    """Close a file, or a folder with all its content, to others.

    A missing path and files of another owner stay as they are.
    """
    if path.is_symlink() or not path.exists():
        return
    with suppress(PermissionError, FileNotFoundError):  # of another owner, or just deleted
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            path.chmod(mode & ~OTHERS)
    if path.is_dir():
        for each in path.iterdir():
            tighten(each)


def _close_to_others(handle: int) -> None:
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_mode & OTHERS:
        with suppress(PermissionError):  # a file of another owner that this user may write to
            os.fchmod(handle, stat.S_IMODE(found.st_mode) & ~OTHERS)

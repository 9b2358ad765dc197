"""Writing without halves: a folder or file appears under its name when it is complete, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hitloom.errors import DataError


def temporary_name(path: Path) -> Path:
    """Return a name beside ``path`` (same file system) that nothing else uses."""
    return path.with_name(f".{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; at the end it takes the name ``path``, after an exception it is removed."""
    part = temporary_name(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def refuse_existing(path: Path, *, overwrite: bool, may_replace: Callable[[Path], bool]) -> None:
    """Check that a folder may be written at ``path``.

    Raises
    ------
    DataError
        When something is there and ``overwrite`` is false, or it is not something that hitloom wrote.
    """
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    if not overwrite:
        raise DataError(f"{path}: already exists; mend: another path, or ask to overwrite")
    if not may_replace(path):
        raise DataError(f"{path}: is not what would be written there, so it is not replaced; mend: another path")


def replace_folder(part: Path, path: Path) -> None:
    """Give the finished folder ``part`` the name ``path``; what stood there is removed only afterwards."""
    old = None
    if path.exists():
        old = temporary_name(path)
        os.rename(path, old)
    try:
        os.rename(part, path)
    except OSError:
        if old is not None:
            os.rename(old, path)
        raise
    if old is not None:
        shutil.rmtree(old)


def reason(error: BaseException) -> str:
    """Return an exception's message as one short line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]

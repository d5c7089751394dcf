"""Locks on files and folders: the system lets go when the process ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swath.errors import BusyError

_held: set[int] = set()
"""Handles of what this process holds."""


def _let_go() -> None:
    """A forked process, as one that reads patches, holds nothing: it may outlive its parent."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold an existing file or folder while a block runs; nothing is written to it.

    Raises:
        BusyError: Another process holds it, and it is not waited for; or has moved it meanwhile.
    """
    try:
        import fcntl
    except ImportError:  # a system without such locks
        yield
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise BusyError(path) from None
    _held.add(handle)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BusyError(path) from None
        if not _still(path, handle):  # whoever held it has put it in another place
            raise BusyError(path)
        yield
    finally:
        if handle in _held:  # else this is a process that was forked meanwhile
            _held.remove(handle)
            os.close(handle)


def _still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

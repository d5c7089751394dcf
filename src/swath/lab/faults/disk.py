"""A disk of a few pages, where this user may make one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PAGE = 4096
_PLENTY = "64m"


@contextmanager
def disk(folder: Path, *, own: bool) -> Iterator[None]:
    """A new folder while a block runs; `own`: a disk of its own, in memory."""
    folder.mkdir()
    if own:
        _mount("-t", "tmpfs", "-o", f"size={_PLENTY}", "tmpfs", str(folder))
    try:
        yield
    finally:
        if own:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def leave_pages(folder: Path, pages: int) -> None:
    """Let the disk have so many free pages of 4 KiB."""
    state = os.statvfs(folder)
    used = (state.f_blocks - state.f_bfree) * state.f_frsize
    _mount("-o", f"remount,size={used + pages * PAGE}", str(folder))


def empty(folder: Path) -> None:
    """Let the disk have plenty of room again."""
    _mount("-o", f"remount,size={_PLENTY}", str(folder))


def can_mount(folder: Path) -> bool:
    """Whether this user may make such a disk."""
    with suppress(OSError, subprocess.CalledProcessError), disk(folder / "disk", own=True):
        return True
    return False


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)

"""The memory of this process: its peak, and what becomes of what is freed."""

import ctypes
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""Parameters of glibc's mallopt, from malloc.h."""


def keep_freed_memory() -> None:
    """Let this process keep the memory that large arrays leave, for the next ones.

    glibc gives blocks of more than 32 MB back to the system at once, and clearing fresh pages for
    every layer's output takes a quarter of the U-Net's time. Other C libraries are left alone.

    Source: mallopt(3); how much it brings is measured by `swath bench`.
    """
    if (mallopt := _of_libc("mallopt")) is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def return_freed_memory() -> None:
    """Give what `keep_freed_memory` has kept back to the system.

    Before another kind of work, or arrays of another size: they do not fit the gaps that the last
    ones left, and other threads do not see these, so that what is kept would add up. The
    next arrays then need fresh pages, once. Other C libraries are left alone.

    Source: malloc_trim(3).
    """
    if (trim := _of_libc("malloc_trim")) is not None:
        trim(0)


def peak_bytes() -> int | None:
    """Largest resident memory of this process so far; None where the system does not tell.

    Not getrusage's where there is another: that begins with what the parent had when it started
    this process.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (high := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(high[1]) * 1024
    try:
        import resource
    except ImportError:  # a system without it
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Let `peak_bytes` begin anew with what is resident now, where the system can (Linux).

    Source: proc_pid_clear_refs(5).
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _of_libc(name: str) -> Callable[..., object] | None:
    """A function of the C library; None where it has none of that name."""
    try:
        function: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return function

"""The one hierarchy of errors that users are meant to see.

Every message says what was got, what was expected, and what to do. It states facts in words that
hold in a notebook as well; what to type is the command line's business, which prints the message as
one line with the advice that goes with its `Remedy`, and exits with 2. Anything that is not a
`SwathError` is a bug and exits with 1.
"""

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum


class Remedy(StrEnum):
    """What mends an error, where that is an argument; `swath.cli` knows how each is typed."""

    OVERWRITE = "overwrite"
    RESUME = "resume"
    OVERWRITE_OR_RESUME = "overwrite or resume"
    OTHER_OUT = "another folder"
    ELSEWHERE = "another folder only"
    RUN = "run"
    SITE = "site"
    DATE = "date"
    BANDS = "bands"
    BUILD = "build anew"
    WORKERS = "workers"
    LESS_MEMORY = "fewer workers or smaller tiles"
    REPLAN = "plan anew"
    DRY_RUN = "plan only"
    MAP_RESUME = "map again what differs"
    MAP_OVERWRITE = "map again"


class SwathError(Exception):
    """Root of all errors that swath raises on purpose.

    Example:
        >>> import swath
        >>> try:
        ...     swath.open_maps("nowhere")
        ... except swath.SwathError as error:
        ...     print(error)
        nowhere holds no maps (no <site>/item.json); run swath map first

    Attributes:
        remedy: The argument that mends it, if one does.
    """

    def __init__(self, message: str, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as its message, whatever it was made from: so it comes whole from a worker."""
        return _revive, (type(self), str(self), self.remedy)


def _revive(kind: type[SwathError], message: str, remedy: Remedy | None) -> SwathError:
    error = kind.__new__(kind)
    error.args = (message,)
    error.remedy = remedy
    return error


_ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that are not shown, but may act on a terminal."""


def printable(text: str) -> str:
    r"""The text as one line that acts on no terminal: what controls one is shown as `\x1b`."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _ACTING else c for c in line
    )


def brief(text: str, most: int = 1500) -> str:
    """A message of bounded length: of long words (paths), and of a long whole, the middle is left out."""
    words = re.sub(r"\S{301,}", lambda word: f"{word[0][:150]}...{word[0][-100:]}", text)
    return words if len(words) <= most else f"{words[: most - 500]} ... {words[-490:]}"


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names with commas between; of many only the first, and how many more there are."""
    every = [*names]
    more = f" and {len(every) - most} more" if len(every) > most + 1 else ""
    return ", ".join(every[:most] if more else every) + more


def reason_of(error: BaseException) -> str:
    """What an error of a library says, on a single line; what it is, where it says nothing."""
    return printable(str(error)) or type(error).__name__


class SettingsError(SwathError):
    """A settings file or an option is wrong: unknown key, bad value, contradiction."""


class InputError(SwathError):
    """A file that the user named is missing, unreadable, or not what it should be."""


class GridError(SwathError):
    """Two things that must lie on one grid do not, or a grid cannot be made."""


class DatasetError(SwathError):
    """A dataset folder breaks the contract, or lacks what a command needs (site, split, date)."""


class ModelError(SwathError):
    """A model cannot be built, loaded, or used on this input."""


class RemoteError(SwathError):
    """A server refuses, breaks off, or sends something else than it announced."""


class UnreachableError(RemoteError):
    """A server cannot be spoken to at all: no network, nothing listens there, or no answer comes."""


def install_line(extra: str) -> str:
    """What to type to have an extra, with swath from an index or from its sources."""
    return f"pip install 'swath[{extra}]' (in a clone: '.[{extra}]')"


class MissingExtraError(SwathError):
    """A command needs an optional dependency that is not installed; see `swath.extras`."""

    def __init__(self, command: str, module: str, extra: str) -> None:
        super().__init__(
            f"{command} needs the package {module!r}, which is not installed; run: {install_line(extra)}"
        )


class OutputExistsError(SwathError):
    """The output is there already and overwriting was not asked for."""

    def __init__(self, path: object, why: str = "", remedy: Remedy = Remedy.OVERWRITE) -> None:
        super().__init__(f"{path} exists already{why}", remedy)


class OutputError(SwathError):
    """An output cannot be written: no space, no rights, a limit, or not a place for it."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: cannot be written ({reason})")


class DivergedError(SwathError):
    """The loss of a training is no longer a finite number."""


class BusyError(SwathError):
    """Another process is making the same files."""

    def __init__(self, folder: object) -> None:
        super().__init__(f"another swath is at work in {folder}; wait for it", Remedy.OTHER_OUT)


class WorkerError(SwathError):
    """There are no workers, they cannot do the jobs, or they died again and again."""

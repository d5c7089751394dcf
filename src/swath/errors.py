"""The one hierarchy of errors that users are meant to see.

Every message says what was got, what was expected, and what to do. The command line prints it as
one line and exits with 2; anything that is not a `SwathError` is a bug and exits with 1.
"""

from typing import Any


class SwathError(Exception):
    """Root of all errors that swath raises on purpose."""

    def __reduce__(self) -> Any:
        """Pickled as its message, whatever it was made from: so it comes whole from a worker."""
        return _revive, (type(self), str(self))


def _revive(kind: type[SwathError], message: str) -> SwathError:
    error = kind.__new__(kind)
    error.args = (message,)
    return error


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


class MissingExtraError(SwathError):
    """A command needs an optional dependency that is not installed."""

    def __init__(self, command: str, module: str, extra: str) -> None:
        super().__init__(
            f"{command} needs the package {module!r}, which is not installed; "
            f"run: pip install 'swath[{extra}]'"
        )


class OutputExistsError(SwathError):
    """The output is there already and overwriting was not asked for."""

    def __init__(self, path: object, why: str = "", way: str = "") -> None:
        super().__init__(
            f"{path} exists already{why}; choose another --out{way} or add --overwrite"
        )


class BusyError(SwathError):
    """Another process is making the same files."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"another swath is at work in {folder}; wait for it, or choose another --out"
        )


class WorkerError(SwathError):
    """There are no workers, they cannot do the jobs, or they died again and again."""

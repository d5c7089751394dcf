"""Making the files of a folder so that a kill at any moment loses none that is finished."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from swath.errors import DatasetError, InputError, Remedy, SwathError
from swath.files import read_json, sha256, write_json
from swath.locks import locked
from swath.maps.manifest import MANIFEST_NAME, Manifest, Output, read_manifest, write_manifest
from swath.names import FileName, check_own
from swath.outfolder import Kind, check_out, exchange, recover, settle

_JOURNAL = "journal.json"
_OUTPUTS = TypeAdapter(dict[FileName, Output])


class WorkFolder:
    """The folder beside the final one in which a site's files are made; see `working`.

    Attributes:
        folder: MAPS/.work-<site>. Finished files lie in it under their own names.
        home: MAPS/<site>, which is left alone until `commit`.
        tiles: For the tiles of rasters that are not finished.
        scratch: For files that are not kept.
        new_files: Names of the files that this run has made, in order.
    """

    def __init__(self, folder: Path, home: Path, existing: Mapping[str, Output]) -> None:
        self.folder = folder
        self.home = home
        self.tiles = folder / "tiles"
        self.scratch = folder / "scratch"
        self.new_files: list[str] = []
        self._existing = existing
        self._finished: dict[str, Output] = _read_journal(folder)

    def reuse(self, name: str, key: str) -> bool:
        """Take over a file that an earlier run, or the final folder, has of the same key.

        Returns:
            Whether there was one, its bytes as they were written.
        """
        for where, outputs in ((self.folder, self._finished), (self.home, self._existing)):
            output = outputs.get(name)
            if output is None or output.key != key or not _is_sound(where / name, output):
                continue
            if where == self.home:
                _link(where / name, self.folder / name)
                self._note(name, output)
            return True
        return False

    def record(self, name: str, key: str, threshold: float | None = None) -> None:
        """Note that the file `name` is finished; `threshold` is that of a class map."""
        digest = sha256(self.folder / name)
        self._note(name, Output(key=key, sha256=digest, threshold=threshold))
        self.new_files.append(name)

    def keep(self, names: Iterable[str]) -> None:
        """Take over files of the final folder that are no outputs."""
        for name in names:
            _link(self.home / name, self.folder / name)

    def output(self, name: str) -> Output:
        """What is noted of a file that was reused or recorded."""
        return self._finished[name]

    def commit(self, manifest: Manifest, keys: Mapping[str, str], others: tuple[str, ...]) -> None:
        """Put the folder, with its manifest, in the place of the final one.

        Only the outputs `keys`, which were reused or recorded, and the files `others` stay.
        """
        outputs = {name: self._finished[name] for name in keys}
        write_manifest(self.folder, manifest.model_copy(update={"outputs": outputs}))
        kept = {*keys, *others, MANIFEST_NAME}
        for path in self.folder.iterdir():
            if path.name not in kept:
                _remove(path)
        settle(self.folder, Kind.MAPS)
        exchange(self.folder, self.home)

    def _note(self, name: str, output: Output) -> None:
        self._finished[name] = output
        write_json(
            self.folder / _JOURNAL,
            {name: output.model_dump(exclude_none=True) for name, output in self._finished.items()},
        )


@contextmanager
def working(home: Path, reads: Iterable[Path], *, anew: bool) -> Iterator[WorkFolder]:
    """Open the work folder of a site, with what a run that broke off left in it.

    Whatever ends the run before `commit`, the final folder is as it was, and the work folder
    keeps all that was finished; where nothing was, it goes, and MAPS too if it was made for it.

    Args:
        home: MAPS/<site>.
        reads: What its maps are made from.
        anew: Take nothing over: neither from a run that broke off, nor from the final folder.

    Raises:
        BusyError: Another process is at it.
        InputError: A folder is a link to another place.
        OutputExistsError: The final folder holds other things than maps.
    """
    folder = home.parent / f".work-{home.name}"
    check_own(home, folder, folder / "tiles", folder / "scratch", home.parent / f".old-{home.name}")
    fresh = not home.parent.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        try:
            recover(home)
            check_out(home, Kind.MAPS, reads, overwrite=True)
            if anew:
                for path in folder.iterdir():
                    _remove(path)
            yield WorkFolder(folder, home, {} if anew else _existing(home))
        except SwathError as error:
            if _holds_files(folder):
                error.args = (f"{error}; what is finished stays in {folder}, for the same command to go on",)
            raise
        finally:
            if folder.is_dir() and not _holds_files(folder):
                shutil.rmtree(folder)
                if fresh and not any(home.parent.iterdir()):
                    home.parent.rmdir()


def _holds_files(folder: Path) -> bool:
    """Whether anything is worth to be kept in a work folder, from which what is not kept goes."""
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    return any(path.is_file() for path in folder.rglob("*"))


def matches(home: Path, keys: Mapping[str, str]) -> bool:
    """Whether a finished folder holds just the outputs `keys`, with the bytes that were written."""
    outputs = _existing(home)
    if {name: output.key for name, output in outputs.items()} != dict(keys):
        return False
    return all(_is_sound(home / name, output) for name, output in outputs.items())


def check_sound(home: Path, names: Iterable[str] | None = None) -> None:
    """Check that the outputs of a finished folder, or those of `names`, have the bytes that were written.

    Raises:
        DatasetError: A file was changed, or is missing.
    """
    outputs = _existing(home)
    for name in outputs if names is None else outputs.keys() & {*names}:
        if not _is_sound(home / name, outputs[name]):
            raise DatasetError(
                f"{home / name}: a file differs from what swath wrote; to redo only that, map the site again",
                Remedy.MAP_RESUME,
            )


def _existing(home: Path) -> dict[str, Output]:
    try:
        return read_manifest(home).outputs
    except DatasetError:
        return {}


def _read_journal(folder: Path) -> dict[str, Output]:
    """The finished files of a work folder; a folder that was all but committed has a manifest."""
    for name in (_JOURNAL, MANIFEST_NAME):
        with suppress(InputError, ValidationError, KeyError, TypeError):
            content = read_json(folder / name)
            return _OUTPUTS.validate_python(content["outputs"] if name == MANIFEST_NAME else content)
    return {}


def _is_sound(path: Path, output: Output) -> bool:
    return path.is_file() and not path.is_symlink() and sha256(path) == output.sha256


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

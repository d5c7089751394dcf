"""The note beside a fetched file: what it was made of, and the hash of its bytes."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from swath.errors import InputError
from swath.files import sha256, write_json
from swath.validation import read_model

FORMAT = 2
"""Of the notes and of the plan; what another one describes is planned and fetched anew."""


class Note(BaseModel):
    """The key of what decides a file, and its hash; more tells people where it comes from."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: int = FORMAT
    key: str
    sha256: str

    def write(self, file: Path) -> None:
        """Write the note beside a file, as JSON."""
        write_json(_beside(file), self.model_dump(mode="json"))

    @classmethod
    def read(cls, file: Path, key: str) -> Self | None:
        """The note of a file that is there, whole, and was made for this key; None without one."""
        if not file.is_file():
            return None
        try:
            note = read_model(_beside(file), cls)
        except InputError:
            return None
        current = (note.format, note.key) == (FORMAT, key)
        return note if current and sha256(file) == note.sha256 else None


def _beside(file: Path) -> Path:
    return file.with_name(file.name.partition(".")[0] + ".json")

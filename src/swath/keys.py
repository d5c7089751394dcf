"""What decides something that is kept, as one value: equal keys mean equal bytes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Decided:
    """All that decides the bytes of something that is kept and may be taken up again.

    Attributes:
        what: What is kept: `pmap`, `stage`, `cell`, ...
        version: Of the code that makes it; raised when the same fields give other bytes.
        fields: Everything else that it depends on, as JSON values.
    """

    what: str
    version: int
    fields: Mapping[str, JsonValue]

    @property
    def key(self) -> str:
        """Hex SHA-256 of all three; the order of the fields does not matter."""
        return _value_hash(self.json())

    def json(self) -> dict[str, JsonValue]:
        """As it is written beside what is kept."""
        return {"what": self.what, "version": self.version, **self.fields}

    def difference(self, kept: Mapping[str, JsonValue]) -> str | None:
        """The first thing in which what is kept (`json` of then) was decided otherwise, if any."""
        now = self.json()
        return next((k for k in (*now, *kept) if now.get(k) != kept.get(k)), None)


def _value_hash(value: JsonValue) -> str:
    """Hex SHA-256 of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

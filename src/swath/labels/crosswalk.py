"""Other people's class codes: what each is in a legend. A table, not code."""

from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from swath.errors import InputError, SettingsError
from swath.legend import IGNORE, Legend
from swath.validation import Frozen, parse_yaml, read_yaml

CODE = "code"
"""The tag that a pixel of a class raster has: legends may name it as any other."""

IGNORED = "ignore"
"""The class of codes that say nothing of the legend's classes."""


class Crosswalk(Frozen):
    """Which codes of a source are which class of a legend.

    Attributes:
        legend: Name of the legend.
        columns: Where vector files of the source keep the code; the first that is there counts.
        classes: Class of the legend, or `ignore` -> its codes, as numbers or texts.
        attribution: Who made the source.
    """

    legend: str
    columns: tuple[str, ...] = ()
    classes: dict[str, tuple[int | str, ...]]
    attribution: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        codes = [str(code) for codes in self.classes.values() for code in codes]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"the code {twice[0]} stands twice")
        return self

    def codes(self, legend: Legend) -> "Codes":
        """The table for the legend that it was made for.

        Raises:
            SettingsError: It was made for another, or names a class that the legend lacks.
        """
        ids = {c.name: c.id for c in legend.classes} | {IGNORED: IGNORE}
        strange = [name for name in self.classes if name not in ids]
        if self.legend != legend.name or strange:
            other = self.legend != legend.name
            what = f"is for the legend {self.legend!r}" if other else f"names a class {strange[0]!r}"
            raise SettingsError(
                f"the crosswalk {what}; the legend is {legend.name!r} with {', '.join(legend.names)}"
            )
        return Codes({str(code): ids[name] for name, codes in self.classes.items() for code in codes})


class Codes:
    """Code -> class id, or 255 = ignore.

    Args:
        ids: Codes as texts; whole numbers without a point.
        complete: Whether another code is an error; else it is ignored.
    """

    def __init__(self, ids: dict[str, int], *, complete: bool = True) -> None:
        self.ids = ids
        self.complete = complete

    @classmethod
    def of_legend(cls, legend: Legend, column: str = CODE) -> "Codes":
        """What codes mean to a legend by itself: by its tags, else they are its own ids and names."""
        by_tags = {value: c.id for c in legend.tagged for value in c.tags.get(column, ())}
        own = {str(c.id): c.id for c in legend.classes} | {c.name: c.id for c in legend.classes}
        if by_tags:  # as of all tags: what the legend does not name is not on the map
            return cls(by_tags, complete=False)
        return cls(own | {str(IGNORE): IGNORE, IGNORED: IGNORE})

    def of_values(self, values: NDArray[np.generic], source: object) -> NDArray[np.uint8]:
        """(n,) class ids of codes; what is missing (None, NaN, an empty text) is ignored.

        Raises:
            InputError: A code that is not in the table.
        """
        texts = [_text(value) for value in values.tolist()]
        strange = sorted({text for text in texts if text and text not in self.ids})
        if strange and self.complete:
            raise InputError(
                f"{source}: the code {', '.join(strange[:5])} is not in the table of codes "
                f"({', '.join(list(self.ids)[:12])}, ...); add it to a crosswalk, under {IGNORED!r} "
                "if it says nothing"
            )
        return np.array([self.ids.get(text, IGNORE) for text in texts], np.uint8)


def _text(value: object) -> str:
    """A code as tables have it: 10 and 10.0 are "10"."""
    if value is None or value != value:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole and isinstance(value, float) else str(value).strip()


def read_crosswalk(name_or_path: str, folder: Path) -> Crosswalk:
    """Read a crosswalk that ships with swath (by name) or a YAML file.

    Args:
        name_or_path: `worldcover`, `corine`, or a path of `.yaml`.
        folder: Where relative paths start.

    Raises:
        SettingsError: No such crosswalk, or a file that breaks the format.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return read_yaml(folder / name_or_path, Crosswalk)
    shipped = files("swath") / "crosswalks"
    resource = shipped / f"{name_or_path}.yaml"
    if not resource.is_file():
        known = sorted(p.name[:-5] for p in shipped.iterdir() if p.name.endswith(".yaml"))
        raise SettingsError(
            f"no crosswalk {name_or_path!r}; shipped ones are {', '.join(known)}, anything else "
            "must be a path that ends in .yaml"
        )
    return parse_yaml(resource.read_text(encoding="utf-8"), Crosswalk, resource.name)

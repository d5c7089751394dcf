"""The legend: which classes a map has, their colours, and which OSM tags make them."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from swath.errors import SettingsError
from swath.files import parse_yaml, read_yaml

IGNORE = 255
"""Label value of pixels that count nowhere: not in the loss, not in a score."""


class LegendClass(BaseModel):
    """One class of a legend.

    Attributes:
        id: Value in label and class rasters; 0 is the background.
        name: As in legends of maps, for example `road`.
        color: `#rrggbb`.
        geometry: Which features make the class: `line` or `area`. The background has none.
        tags: OSM key -> accepted values (`"*"`: any). A feature belongs to the class if any of the
            pairs matches.
        exclude: OSM key -> values that take a feature out again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = Field(ge=0, lt=IGNORE)
    name: str = Field(min_length=1)
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")
    geometry: Literal["line", "area"] | None = None
    tags: dict[str, tuple[str, ...]] = {}
    exclude: dict[str, tuple[str, ...]] = {}

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three numbers 0..255."""
        red, green, blue = (int(self.color[at : at + 2], 16) for at in (1, 3, 5))
        return red, green, blue

    def matches(self, tags: Mapping[str, Any]) -> bool:
        """Whether a feature with these OSM tags belongs to the class."""
        return _any_match(self.tags, tags) and not _any_match(self.exclude, tags)


class Legend(BaseModel):
    """The classes of a map, by id: 0 is the background, ids are 0..n-1 without a gap.

    Where features of several classes cover one pixel, the class that stands later wins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    classes: tuple[LegendClass, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if [c.id for c in self.classes] != list(range(len(self.classes))):
            raise ValueError("class ids must be 0, 1, 2, ... in this order")
        names = [c.name for c in self.classes]
        if len(set(names)) != len(names):
            raise ValueError("class names must differ")
        if self.classes[0].tags:
            raise ValueError("class 0 is the background and takes no tags")
        for c in self.classes[1:]:
            if c.geometry is None or not c.tags:
                raise ValueError(f"class {c.name!r} needs a geometry (line or area) and tags")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by id."""
        return tuple(c.name for c in self.classes)

    @property
    def foreground(self) -> tuple[LegendClass, ...]:
        """All classes but the background."""
        return self.classes[1:]

    @property
    def keys(self) -> tuple[str, ...]:
        """Every OSM key that the legend looks at, sorted."""
        return tuple(sorted({k for c in self.classes for k in (*c.tags, *c.exclude)}))

    def classify(self, tags: Mapping[str, Any]) -> int | None:
        """The id of the last class that matches, or None: the feature is not on the map.

        Args:
            tags: OSM tags of one feature; missing values may be None or NaN.
        """
        found = [c.id for c in self.foreground if c.matches(tags)]
        return found[-1] if found else None


def _any_match(accepted: Mapping[str, tuple[str, ...]], tags: Mapping[str, Any]) -> bool:
    return any(
        isinstance(value := tags.get(key), str) and ("*" in values or value in values)
        for key, values in accepted.items()
    )


def read_legend(name_or_path: str, folder: Path | None = None) -> Legend:
    """Read a legend that ships with swath (by name) or a YAML file.

    Args:
        name_or_path: `roads`, `water`, or the path of a `.yaml` file.
        folder: Where relative paths start; the working directory by default.

    Raises:
        SettingsError: No such legend, or a file that breaks the format.
    """
    shipped = files("swath") / "legends"
    if not name_or_path.endswith((".yaml", ".yml")):
        resource = shipped / f"{name_or_path}.yaml"
        if not resource.is_file():
            known = sorted(p.name[:-5] for p in shipped.iterdir() if p.name.endswith(".yaml"))
            raise SettingsError(
                f"no legend {name_or_path!r}; shipped legends are {', '.join(known)}, "
                "anything else must be a path that ends in .yaml"
            )
        return parse_yaml(resource.read_text(encoding="utf-8"), Legend, resource.name)
    return read_yaml((folder or Path()) / name_or_path, Legend)

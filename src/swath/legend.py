"""The legend: which classes a map has, their colours, and which OSM tags make them."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from swath.errors import SettingsError
from swath.names import ClassName, Line, TagKey
from swath.validation import Frozen, parse_yaml, read_yaml

IGNORE = 255
"""Label value of pixels that count nowhere: not in the loss, not in a score."""


Geometry = Literal["line", "area"]

COAST = ("natural", "coastline")
"""The tag of lines with the land on their left and the sea on their right."""


class LineWidth(Frozen):
    """How wide the lines of a class are on the ground, in metres.

    What a feature says of itself comes first: its `width`, then its `lanes`; then the table `by`,
    then `default_m`. What it says is not believed outside `range_m` (a width of 0 or 800 m).

    Attributes:
        tags: Keys that hold a width as OSM writes it (metres without a unit), first wins.
        lane_m: Width of a lane, for features with `lanes`; None: lanes are not looked at.
        by: OSM key -> value -> width.
        default_m: Width where nothing else is known.
        range_m: Least and greatest width that a tag may give. The greatest of all widths says how
            far outside a grid a line still counts.
    """

    tags: tuple[TagKey, ...] = ("width",)
    lane_m: float | None = Field(default=None, gt=0, le=10)
    by: dict[TagKey, dict[Line, Annotated[float, Field(gt=0, le=500)]]] = Field(default_factory=dict)
    default_m: float = Field(gt=0, le=500)
    range_m: tuple[float, float] = (2.0, 60.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0 < self.range_m[0] < self.range_m[1] <= 500:
            raise ValueError("range_m must be (least, greatest) in metres, at most 500")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """Every OSM key that decides the width."""
        return (*self.tags, *(("lanes",) if self.lane_m is not None else ()), *self.by)

    @property
    def greatest_m(self) -> float:
        """No line of the class is wider."""
        table = (width for widths in self.by.values() for width in widths.values())
        return max(self.default_m, self.range_m[1], *table)


class LegendClass(Frozen):
    """One class of a legend.

    Attributes:
        id: Value in label and class rasters; 0 is the background.
        name: As in legends of maps, for example `road`.
        color: `#rrggbb`.
        geometry: Which features make the class: `line` or `area`. The background has none.
        tags: OSM key -> accepted values (`"*"`: any but `no`). A feature belongs to the class if any
            of the pairs matches.
        exclude: OSM key -> values that take a feature out again.
        width: How wide its lines are, where they are burnt by width; lines only.
        sea: Whether the sea belongs to it: what lies right of `natural=coastline`; areas only.
    """

    id: int = Field(ge=0, lt=IGNORE)
    name: ClassName
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")
    geometry: Geometry | None = None
    tags: dict[TagKey, tuple[Line, ...]] = Field(default_factory=dict)
    exclude: dict[TagKey, tuple[Line, ...]] = Field(default_factory=dict)
    width: LineWidth | None = None
    sea: bool = False

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three numbers 0..255."""
        red, green, blue = (int(self.color[at : at + 2], 16) for at in (1, 3, 5))
        return red, green, blue

    def matches(self, tags: Mapping[str, object]) -> bool:
        """Whether a feature with these OSM tags belongs to the class."""
        return _any_match(self.tags, tags) and not _any_match(self.exclude, tags)


class Legend(Frozen):
    """The classes of a map, by id: 0 is the background, ids are 0..n-1 without a gap.

    Where features of several classes cover one pixel, the class that stands later wins.

    Example:
        >>> import swath
        >>> legend = swath.open_maps("maps").legend
        >>> [(c.id, c.name, c.geometry) for c in legend.classes]
        [(0, 'background', None), (1, 'road', 'line')]

    Attributes:
        name: Of the legend.
        classes: By id.
        unmapped: What a pixel is that no feature covers: `background` (class 0, which then has no
            tags), or `ignore`: nobody has mapped it, so nothing is known; class 0 is then a class
            with tags as the others.
    """

    name: Line
    classes: tuple[LegendClass, ...] = Field(min_length=2)
    unmapped: Literal["background", "ignore"] = "background"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if [c.id for c in self.classes] != list(range(len(self.classes))):
            raise ValueError("class ids must be 0, 1, 2, ... in this order")
        names = {c.name.casefold() for c in self.classes}
        if len(names) != len(self.classes):
            raise ValueError("class names must differ, in more than capitals")
        if self.classes[0].tags and self.unmapped == "background":
            raise ValueError(
                "class 0 is the background and takes no tags (but with unmapped: ignore it does)"
            )
        for c in self.classes if self.unmapped == "ignore" else self.foreground:
            if c.geometry is None or not c.tags:
                raise ValueError(f"class {c.name!r} needs a geometry (line or area) and tags")
            if c.width is not None and c.geometry != "line":
                raise ValueError(f"class {c.name!r} has a width, but its geometry is not line")
            if c.sea and c.geometry != "area":
                raise ValueError(f"class {c.name!r} has the sea, but its geometry is not area")
        if sum(c.sea for c in self.classes) > 1:
            raise ValueError("the sea can belong to one class only")
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
    def tagged(self) -> tuple[LegendClass, ...]:
        """The classes that features can belong to."""
        return tuple(c for c in self.classes if c.tags)

    @property
    def lines(self) -> tuple[LegendClass, ...]:
        """The classes of lines: maps have them as the lines along their middle, too."""
        return tuple(c for c in self.foreground if c.geometry == "line")

    @property
    def areas(self) -> tuple[LegendClass, ...]:
        """The classes of areas: where there are any, maps are polygons, too."""
        return tuple(c for c in self.classes if c.geometry == "area")

    @property
    def sea(self) -> LegendClass | None:
        """The class that the sea belongs to, if any."""
        return next((c for c in self.classes if c.sea), None)

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """OSM key -> values of what may be on the map, the coast included; keys sorted."""
        values: dict[str, list[str]] = {}
        for c in self.tagged:
            for key, accepted in c.tags.items():
                values.setdefault(key, []).extend(accepted)
        if self.sea is not None:
            values.setdefault(COAST[0], []).append(COAST[1])
        return {key: tuple(dict.fromkeys(named)) for key, named in sorted(values.items())}

    @property
    def keys(self) -> tuple[str, ...]:
        """Every OSM key that the legend looks at, sorted."""
        keys = {k for c in self.classes for k in (*c.tags, *c.exclude)}.union(self.wanted)
        return tuple(sorted(keys.union(*(c.width.keys for c in self.classes if c.width))))

    def classify(self, tags: Mapping[str, object], geometry: Geometry | None = None) -> int | None:
        """The id of the last class that matches, or None: the feature is not on the map.

        Args:
            tags: OSM tags of one feature; missing values may be None or NaN.
            geometry: What it is; None: it does not matter.
        """
        ids = [c.id for c in self.tagged if geometry in (None, c.geometry) and c.matches(tags)]
        return ids[-1] if ids else None


def _any_match(accepted: Mapping[str, tuple[str, ...]], tags: Mapping[str, object]) -> bool:
    return any(
        isinstance(value := tags.get(key), str) and (value in values or ("*" in values and value != "no"))
        for key, values in accepted.items()
    )


def read_legend(name_or_path: str, folder: Path | None = None) -> Legend:
    """Read a legend that ships with swath (by name) or a YAML file.

    Args:
        name_or_path: `roads`, `roads-by-class`, `landcover`, `water`, or a path of `.yaml`.
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

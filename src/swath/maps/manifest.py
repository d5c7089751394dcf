"""The manifest of a site's maps: what every file was made from, by content hashes."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

from affine import Affine
from pydantic import ConfigDict, Field, JsonValue, ValidationError

from swath.errors import DatasetError, InputError, Remedy
from swath.files import read_json, write_json
from swath.grid import MOST_SIDE_PX, Finer, Grid
from swath.keys import Decided
from swath.names import FileName, Line
from swath.validation import Frozen, first_problem

MANIFEST_NAME = "manifest.json"
CLASSES_NAME = "classes.tif"

Threshold = Literal["scene"] | Annotated[float, Field(ge=0, lt=1)]

UNIT_HA = 0.1
"""The minimum mapping unit: a map of 10 m cannot be trusted with less than ten of its pixels."""

FORMAT: Literal[9] = 9
"""Version of the maps' bytes: a change of the program that changes them must raise it."""


class Output(Frozen):
    """One file of the maps.

    Attributes:
        key: Hash of all that the file depends on.
        sha256: Hash of its bytes.
        threshold: Of a class map of two classes. A result, not part of the key.
    """

    key: str
    sha256: str
    threshold: float | None = None


class Settings(Frozen):
    """How the maps were computed: what became of `swath.mapping.options.MapOptions`.

    Attributes:
        tile_px: Largest side of a tile.
        precision: Of the networks.
        orientations: In how many they looked at the images.
        device: Type of the device they ran on.
        max_dates: T: how many dates, the newest ones, are fused.
        threshold: As it was asked for.
        unit_ha: The minimum mapping unit of land cover polygons.
    """

    tile_px: int = Field(ge=1, le=MOST_SIDE_PX)
    precision: Literal["fp32", "bf16"]
    orientations: Literal[1, 8]
    device: str
    max_dates: int = Field(ge=1, le=1000)
    threshold: Threshold = "scene"
    unit_ha: float = Field(default=UNIT_HA, ge=0)


class Mapped(Frozen):
    """A date of the maps.

    Attributes:
        source: Hash of the image file and of how it was read.
        attribution: Who made the image.
    """

    source: str
    attribution: Line


class Manifest(Frozen):
    """What manifest.json says.

    Attributes:
        format: `FORMAT` of the program that wrote the maps.
        run: The run's folder, relative to the maps' folder.
        model_sha256: Hash of the run's weights file.
        settings: How the maps were computed.
        crs: Of the images' grid, as `transform` (a, b, c, d, e, f) and `shape` (height, width).
        transform: See `crs`.
        shape: See `crs`.
        finer: Map pixels to the side of an image pixel.
        dates: All dates that have a PMap.
        outputs: The files by name. Files that any run rewrites alike (item.json) are not listed.
    """

    model_config = ConfigDict(protected_namespaces=())

    format: Literal[9] = FORMAT
    run: str
    model_sha256: str
    settings: Settings
    crs: str
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    finer: Finer = 1
    dates: dict[dt.date, Mapped]
    outputs: dict[FileName, Output] = Field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Of the images that are mapped; the maps lie on `grid.finer(finer)`."""
        return Grid(self.crs, Affine(*self.transform), self.shape)

    @property
    def threshold(self) -> float | None:
        """Of the class map; see `swath.maps.sitemaps.SiteMaps.threshold`."""
        classes = self.outputs.get(CLASSES_NAME)
        return None if classes is None else classes.threshold


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of MAPS/<site>.

    Raises:
        DatasetError: There is none, or it is of another version.
    """
    path = folder / MANIFEST_NAME
    try:
        content = read_json(path)
        version = content.get("format") if isinstance(content, dict) else None
        if version == FORMAT:
            return Manifest.model_validate(content)
        problem = f"{path} is of another version of swath (format {version}, expected {FORMAT})"
    except InputError as error:
        problem = str(error)
    except ValidationError as error:
        problem = f"{path}: {first_problem(error)}"
    raise DatasetError(f"{problem}; map the site again", Remedy.MAP_OVERWRITE)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a site's maps, whole or not at all."""
    write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json", exclude_none=True))


def grid_facts(grid: Grid) -> dict[str, JsonValue]:
    """A grid as the fields `crs`, `transform` and `shape` of a manifest."""
    return {"crs": grid.crs, "transform": list(grid.transform)[:6], "shape": list(grid.shape)}


def make_key(what: str, **inputs: JsonValue) -> str:
    """The key of an output: a hash of the program's format and all its inputs."""
    return Decided(what, FORMAT, inputs).key

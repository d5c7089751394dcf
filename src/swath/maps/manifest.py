"""The manifest of a site's maps: what every file was made from, by content hashes."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swath.errors import DatasetError, InputError
from swath.files import read_json, write_json
from swath.grid import Grid
from swath.keys import value_hash
from swath.schema import first_problem

MANIFEST_NAME = "manifest.json"

Threshold = Literal["scene"] | Annotated[float, Field(ge=0, lt=1)]

FORMAT: Literal[6] = 6
"""Version of the maps' bytes: a change of the program that changes them must raise it."""


class Output(BaseModel):
    """One file of the maps.

    Attributes:
        key: Hash of all that the file depends on.
        sha256: Hash of its bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    sha256: str


class Settings(BaseModel):
    """How the maps were computed.

    Attributes:
        tile_px: Largest side of a tile.
        precision: Of the networks.
        orientations: In how many orientations they looked at the images: 1 or 8.
        device: Type of the device they ran on.
        max_dates: T: how many dates, the newest ones, are fused.
        threshold: Of the foreground's score, with two classes; `scene`: where the scene's own
            scores lead one to expect the highest IoU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tile_px: int = Field(ge=1)
    precision: Literal["fp32", "bf16"]
    orientations: Literal[1, 8]
    device: str
    max_dates: int = Field(ge=1)
    threshold: Threshold = "scene"


class Mapped(BaseModel):
    """A date of the maps.

    Attributes:
        source: Hash of the image file and of how it was read.
        attribution: Who made the image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    attribution: str


class Manifest(BaseModel):
    """What manifest.json says.

    Attributes:
        format: `FORMAT` of the program that wrote the maps.
        run: The run's folder, relative to the maps' folder.
        model_sha256: Hash of the run's weights file.
        settings: How the maps were computed.
        crs: Coordinate system of the maps.
        transform: Their affine transform, (a, b, c, d, e, f).
        shape: Their (height, width) in px.
        dates: All dates that have a PMap.
        outputs: The files by name. Files that any run rewrites alike (item.json) are not listed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    format: Literal[6] = FORMAT
    run: str
    model_sha256: str
    settings: Settings
    crs: str
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    dates: dict[dt.date, Mapped]
    outputs: dict[str, Output] = {}


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a site's maps.

    Args:
        folder: MAPS/<site>.

    Raises:
        DatasetError: There is none, or it is of another version.
    """
    path = folder / MANIFEST_NAME
    advice = "map the site again with swath map --overwrite"
    try:
        return Manifest.model_validate(read_json(path))
    except InputError as error:
        raise DatasetError(f"{error}; {advice}") from None
    except ValidationError as error:
        raise DatasetError(f"{path}: {first_problem(error)}; {advice}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a site's maps, whole or not at all."""
    write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))


def grid_facts(grid: Grid) -> dict[str, Any]:
    """A grid as the fields `crs`, `transform` and `shape` of a manifest."""
    return {"crs": grid.crs, "transform": list(grid.transform)[:6], "shape": list(grid.shape)}


def make_key(**inputs: Any) -> str:
    """The key of an output: a hash of the program's format and all its inputs (JSON values)."""
    return value_hash({"format": FORMAT, **inputs})

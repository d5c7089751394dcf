"""`swath inspect`: what the headers of scenes say, without decoding a pixel."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.options import JsonOption
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.scenes.safe import Product
    from swath.scenes.scene import Scene


def command(
    scenes: Annotated[
        list[Path],
        typer.Argument(help="GeoTIFFs, or Sentinel-2 products (.SAFE folders or their zips)."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Show date, bands, grid and, of a product, radiometry, clouds and sun of SCENES."""
    from swath.scenes.scene import read_scene

    read = [read_scene(path) for path in scenes]
    emit(
        {"scenes": [_report(scene) for scene in read]},
        as_json,
        [line for scene in read for line in _lines(scene)],
    )


def _report(scene: "Scene") -> dict[str, object]:
    grid = scene.grid
    return {
        "path": str(scene.path),
        "date": str(scene.date),
        "bands": list(scene.bands),
        "crs": grid.crs,
        "bounds": list(grid.bounds),
        "lonlat_bounds": [round(side, 6) for side in grid.lonlat_bounds],
        "height": grid.height,
        "width": grid.width,
        "resolution": list(grid.resolution),
        **asdict(scene.conditions),
        "product": None if scene.product is None else _product(scene.product),
    }


def _product(product: "Product") -> dict[str, object]:
    metadata, tile = product.metadata, product.tile
    return {
        "level": metadata.level,
        "baseline": metadata.baseline,
        "spacecraft": metadata.spacecraft,
        "granule": product.granule,
        "mgrs_tile": tile.mgrs_tile,
        "sensing_time": tile.sensing_time.isoformat(),
        "quantification": metadata.quantification,
        "offsets": dict(metadata.offsets),
        "tci": "TCI" in product.images,
        "scl": "SCL" in product.images,
    }


def _lines(scene: "Scene") -> list[str]:
    from swath.scenes.scene import UNKNOWN

    grid = scene.grid
    lines = [
        f"{scene.path}: {scene.date}, {grid.size_text}, {grid.crs[:20]}, "
        f"bands {' '.join(band or '(no name)' for band in scene.bands)}"
    ]
    sky = scene.conditions
    if sky != UNKNOWN:
        lines.append(
            f"  cloud {_known(sky.cloud_cover, '%')}, "
            f"sun {_known(sky.sun_elevation_deg, ' deg')} high, "
            f"azimuth {_known(sky.sun_azimuth_deg, ' deg')}"
        )
    if scene.product is not None:
        metadata, tile = scene.product.metadata, scene.product.tile
        offsets = sorted(set(metadata.offsets.values()))
        lines.append(
            f"  {metadata.spacecraft} {metadata.level} N{metadata.baseline.replace('.', '')}, "
            f"tile {tile.mgrs_tile}, {tile.sensing_time:%H:%M:%S} UTC, "
            f"quantification {metadata.quantification:g}, "
            f"offset {' '.join(f'{offset:g}' for offset in offsets)}"
        )
    return lines


def _known(number: float | None, unit: str) -> str:
    return "unknown" if number is None else f"{number:.1f}{unit}"

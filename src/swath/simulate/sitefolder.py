"""What a simulated site leaves for `swath build`: pictures, and the sites file that names them."""

from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from swath.grid import Grid
from swath.scenes.raster import write_raster
from swath.simulate.day import Day
from swath.sites.schema import SitesFile


def write_picture(
    folder: Path,
    day: Day,
    image: NDArray[np.uint16],
    grid: Grid,
    bands: tuple[str, ...],
    attribution: str,
) -> None:
    """Write `<date>.tif`.

    Args:
        folder: Of the site.
        day: When it was taken.
        image: (bands, H, W) uint16 reflectance x 10000, 0 = no data.
        grid: Where its pixels lie.
        bands: Their names.
        attribution: Who made it.
    """
    tags = {"TIFFTAG_IMAGEDESCRIPTION": attribution}
    write_raster(folder / f"{day.date}.tif", image, grid, nodata=0, names=bands, tags=tags)


def write_sites_file(folder: Path, sites: SitesFile, *remarks: str) -> None:
    """Write `sites.yaml`, with remarks above it; what is as by default is not said."""
    values = sites.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    head = "".join(f"# {remark}\n" for remark in remarks)
    (folder / "sites.yaml").write_text(head + text, "utf-8")

"""The headers of a site's rasters: that they are what the maps' item says, before anybody reads them."""

from collections.abc import Iterable
from pathlib import Path

from swath.errors import DatasetError
from swath.legend import Legend
from swath.scenes.raster import open_raster


def check_headers(pmaps: Iterable[Path], classes: Path, legend: Legend) -> None:
    """Check that PMaps and class map lie on one grid, in bytes, with a band for each class.

    Args:
        pmaps: The PMaps' files.
        classes: The class map's.
        legend: Of the maps. Of two classes a PMap may have the band of interest alone.

    Raises:
        DatasetError: One is another kind of raster.
        InputError: One cannot be read.
    """
    count, names = len(legend.classes), {c.name for c in legend.foreground}
    with open_raster(classes) as source:
        shape, transform = source.shape, source.transform
    bands = {1, 2} if count == 2 else {count}
    for path, counts in [(classes, {1}), *((path, bands) for path in pmaps)]:
        with open_raster(path) as source:
            kinds = set(source.dtypes)
            if source.crs is None:
                what = "no coordinate system"
            elif source.count not in counts or kinds != {"uint8"}:
                what = f"{source.count} bands of {', '.join(sorted(kinds))}; expected {max(counts)} of uint8"
            elif (source.shape, source.transform) != (shape, transform):
                what = "it lies on another grid than classes.tif"
            elif path != classes and (lacking := sorted(names.difference(source.descriptions))):
                what = f"no band is called {lacking[0]}"
            else:
                continue
        raise DatasetError(f"{path}: {what}; run swath map again")

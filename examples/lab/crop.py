"""Makes the real crop that comes with swath: a part of Rennes on two dates, and its OpenStreetMap lines.

python examples/lab/crop.py CITIES-FOLDER/rennes src/swath/crop/rennes

Pixels are the source's own, not resampled: a window of them, packed more tightly. Lines are whole where
they touch the window or its surroundings of some 100 m; of their tags those that swath reads are kept.
What the source is and what one may do with the result: src/swath/crop/README.md.
"""

import json
import sys
from pathlib import Path

import rasterio
import shapely
from shapely.geometry import mapping, shape

from swath.grid import Grid, Window
from swath.scenes.raster import rasterio_window

WINDOW = Window(row=44, col=0, height=295, width=352)
"""The part inside which the lines are complete."""

AROUND_DEG = 0.001
TAGS = ("highway", "name", "tunnel", "bridge", "service")
DECIMALS = 6
"""Of degrees: a tenth of a metre."""


def shorten(degrees: str) -> float:
    """A coordinate without the digits that rounding in binary left."""
    return round(float(degrees), DECIMALS)


source, out = map(Path, sys.argv[1:])
out.mkdir(parents=True, exist_ok=True)
for path in sorted(source.glob("*.tif")):
    with rasterio.open(path) as opened:
        image = opened.read(window=rasterio_window(WINDOW))
        grid = Grid(opened.crs, opened.transform, opened.shape).crop(WINDOW)
        bounds = shapely.box(*grid.bounds)
        with rasterio.open(
            out / path.name,
            "w",
            driver="GTiff",
            dtype=image.dtype,
            count=opened.count,
            height=WINDOW.height,
            width=WINDOW.width,
            crs=opened.crs,
            transform=grid.transform,
            nodata=0,
            compress="deflate",
            predictor=2,
            zlevel=9,
            interleave="band",
            tiled=True,
            blockxsize=352,
            blockysize=304,
        ) as target:
            target.write(image)
            target.descriptions = opened.descriptions
features = []
for feature in json.loads((source / "roads.geojson").read_text())["features"]:
    line = shape(feature["geometry"])
    if line.intersects(bounds.buffer(AROUND_DEG)):
        tags = {tag: value for tag in TAGS if (value := feature["properties"].get(tag)) is not None}
        rounded = shapely.set_precision(line, 10**-DECIMALS)
        geometry = json.loads(json.dumps(mapping(rounded)), parse_float=shorten)
        features.append({"type": "Feature", "properties": tags, "geometry": geometry})
lines = ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features)
(out / "roads.geojson").write_text(f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n')

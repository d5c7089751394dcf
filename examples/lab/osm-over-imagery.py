"""Which OpenStreetMap extracts cover which images, by their bounds in degrees.

python examples/lab/osm-over-imagery.py OSM-FOLDER IMAGE-FOLDER
"""

import sys
from pathlib import Path

import osmium
import rasterio
from rasterio.warp import transform_bounds
from shapely import box


def extract_box(path: Path) -> object:
    """The box that the file's head tells; else that of its nodes."""
    told = osmium.io.Reader(str(path), osmium.osm.osm_entity_bits.NOTHING).header().box()
    if told.valid():
        low, high = told.bottom_left, told.top_right
        return box(low.lon, low.lat, high.lon, high.lat)
    nodes = osmium.FileProcessor(str(path), osmium.osm.NODE)
    lons, lats = zip(*((node.location.lon, node.location.lat) for node in nodes), strict=True)
    return box(min(lons), min(lats), max(lons), max(lats))


extracts = {path.name: extract_box(path) for path in sorted(Path(sys.argv[1]).iterdir())}
images = {}
for path in sorted(Path(sys.argv[2]).rglob("*.tif")):
    with rasterio.open(path) as source:
        if source.crs:
            images[path] = box(*transform_bounds(source.crs, "EPSG:4326", *source.bounds))
pairs = [(image, name) for image in images for name in extracts if images[image].intersects(extracts[name])]
said = [f"{name} covers {image}" for image, name in pairs] or ["no extract covers any image"]
folders = {path.parent for path in images}
said.insert(0, f"{len(extracts)} extracts, {len(images)} images in {len(folders)} folders")
sys.stdout.write("\n".join(said) + "\n")

"""Makes the suburbs' median composites readable: reflectance without their offset, uint16 x 10000.

python examples/lab/suburbs-to-geotiff.py SUBURBS-FOLDER data/suburbs

The composites have twelve Level-2A bands as float32, 0.1 too high, and are cut to a polygon. Each
stands as the first of July of its year. No licence is stated for the files: look
and calibrate, never pass them on.
"""

import sys
from pathlib import Path

import numpy as np
import rasterio

YEARS = {"before": "2017", "after": "2023"}
NAMES = {"B02": 2, "B03": 3, "B04": 4, "B08": 8}

source, out = map(Path, sys.argv[1:])
for path in sorted(source.glob("*.tif")):
    name, _, when = path.stem.rpartition("_")
    with rasterio.open(path) as opened:
        image, profile = opened.read(list(NAMES.values())), opened.profile
    known = np.isfinite(image).all(axis=0) & (image != 0).all(axis=0)
    stored = np.where(known, np.clip((image - 0.1) * 10_000, 1, 30_000), 0).astype("uint16")
    profile |= {"dtype": "uint16", "count": len(NAMES), "nodata": 0}
    target = out / name / f"{YEARS[when]}-07-01.tif"
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(target, "w", **profile) as opened:
        opened.write(stored)
        opened.descriptions = tuple(NAMES)

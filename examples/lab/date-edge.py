"""What shows in a map where one of its dates ends: `date-edge.py OLD.tif NEW.tif`, two images of one place.

The newer is cut in its middle, and mapped whole and cut with the older one by the starter weights.
Prints, by metres from the edge, how far its PMap of the cut image is from that of the whole (of 254),
and the step from pixel to pixel in the fused map across the edge, and elsewhere.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

import swath

old, new = map(Path, sys.argv[1:3])
with tempfile.TemporaryDirectory() as name:
    cut = Path(name) / new.name
    with rasterio.open(new) as source:
        part = Window(source.width // 2, 0, source.width - source.width // 2, source.height)
        profile = source.profile | {"width": part.width, "transform": source.window_transform(part)}
        with rasterio.open(cut, "w", **profile) as target:
            target.write(source.read(window=part))
            target.descriptions = source.descriptions
    maps = [swath.map_scenes([old, image], out=Path(name) / image.parent.name).only for image in (new, cut)]
    whole, ended = (254 * one.pmap(new.stem)[1] for one in maps)
    fused = 254 * maps[1].pmap()[1]
    edge = int(np.argmax(~ended.mask.all(axis=0)))
    metres = maps[0].grid.resolution[0]
    away = np.abs(whole - ended).mean(axis=0)[edge:]
    for at in (0, 30, 75, 150, 300, 600):
        if (column := round(at / metres)) < len(away):
            sys.stdout.write(f"{at} m: {away[column]:.1f}\n")
    steps = np.abs(np.diff(fused, axis=1)).mean(axis=0)
    rest = np.delete(steps, edge - 1).mean()
    sys.stdout.write(f"step across the edge {steps[edge - 1]:.1f}, elsewhere {rest:.1f}\n")

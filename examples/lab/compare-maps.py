"""What differs between two folders of maps, pixel by pixel: for a change that must not change maps.

python examples/lab/compare-maps.py OLD NEW

Prints a line for every raster (how many pixels differ, and by how much) and for every vector file
(features and total length of each layer). The exit code is 1 if anything differs.
"""

import sys
from pathlib import Path

import numpy as np
import rasterio

RASTERS = "*.tif"
VECTORS = ("*.gpkg", "*.parquet")


def compare_raster(old: Path, new: Path) -> str:
    """What differs between two rasters; empty if nothing does."""
    with rasterio.open(old) as a, rasterio.open(new) as b:
        for name in ("shape", "count", "dtypes", "nodata", "crs", "transform", "descriptions"):
            if getattr(a, name) != getattr(b, name):
                return f"{name} differs: {getattr(a, name)} -> {getattr(b, name)}"
        tags = {k: (a.tags().get(k), b.tags().get(k)) for k in {*a.tags(), *b.tags()}}
        other = {k: v for k, v in tags.items() if v[0] != v[1]}
        before, after = a.read(), b.read()
    unlike = before != after
    text = ""
    if unlike.any():
        pixels = int(unlike.any(axis=0).sum())
        gap = np.abs(before.astype(np.int64) - after.astype(np.int64))
        nodata = int((unlike & ((before == a.nodata) | (after == a.nodata))).any(axis=0).sum())
        text = (
            f"{pixels} of {before[0].size} pixels differ, by {int(gap.max())} at most; "
            f"{nodata} of them gained or lost data"
        )
    if other:
        text += f" tags differ: {other}"
    return text


def read_layers(path: Path) -> dict[str, tuple[int, float, float]]:
    """Layer -> features, total length, total area, in the file's own units."""
    import geopandas

    if path.suffix == ".parquet":
        frame = geopandas.read_parquet(path)
        return {"": (len(frame), float(frame.length.sum()), float(frame.area.sum()))}
    import pyogrio

    layers = {}
    for name, _ in pyogrio.list_layers(path):
        frame = geopandas.read_file(path, layer=name)
        drawn = isinstance(frame, geopandas.GeoDataFrame)  # styles are a table
        layers[name] = (
            len(frame),
            *([float(frame.length.sum()), float(frame.area.sum())] if drawn else [0.0, 0.0]),
        )
    return layers


def compare_vectors(old: Path, new: Path) -> str:
    """What differs between two vector files; empty if nothing does."""
    before, after = read_layers(old), read_layers(new)
    parts = []
    for name in sorted({*before, *after}):
        then, now = before.get(name), after.get(name)
        if then is None or now is None:
            parts.append(f"layer {name!r}: {then} -> {now}")
        elif then[0] != now[0] or not np.allclose(then[1:], now[1:], rtol=1e-9, atol=1e-6):
            parts.append(
                f"layer {name!r}: {then[0]} -> {now[0]} features, "
                f"{then[1]:.1f} -> {now[1]:.1f} long, {then[2]:.1f} -> {now[2]:.1f} of area"
            )
    return "; ".join(parts)


def main(old: Path, new: Path) -> int:
    """Compare all files; the exit code."""
    differences = compared = 0
    files = {}
    for root in (old, new):
        patterns = (RASTERS, *VECTORS)
        names = {p.relative_to(root) for pattern in patterns for p in root.rglob(pattern)}
        files[root] = {p for p in names if not any(part.startswith(".") for part in p.parts)}
    for name in sorted(files[old] | files[new]):
        if name not in files[new] or name not in files[old]:
            where = "old" if name in files[old] else "new"
            sys.stdout.write(f"{name}: only in the {where} folder\n")
            differences += 1
            continue
        compare = compare_raster if name.suffix == ".tif" else compare_vectors
        text = compare(old / name, new / name)
        compared += 1
        differences += bool(text)
        sys.stdout.write(f"{name}: {text or 'the same'}\n")
    sys.stdout.write(f"{compared} files compared, {differences} differ\n")
    return 1 if differences or not compared else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

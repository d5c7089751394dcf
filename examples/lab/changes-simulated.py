"""What `swath changes` finds where it is known what changed: simulated series, with and without change.

    python examples/lab/changes-simulated.py OSM-FOLDER WORK [--places liege] [--kinds same roads changed]

Places over real streets, 2.56 km wide, are simulated, if not told otherwise those on which nothing of the
rule was chosen; six dates over some years, hazy, clouded and shifted as those of `swath simulate --change`.
What changes does so between the third date and the fourth:

    same      things that are no roads: woods, halls, pits, strips
    roads     these, and two roads: one comes, one goes, 11 m wide in every other place, else 22 m
    changed   as `--change` has it: whole quarters, too, and strips of grass where a road was or will be;
              of three hundred seeds from 100 n on the first is taken with which at least 400 m of roads
              wider than `--wider` change; a place without one is left out

The first three dates are compared with the last three; what is in WORK is not made again. Precision: of the
metres reported as new (vanished), those within 20 m of a road of any width that came (went). Recall: of the
metres of wide roads that came (went), those within 20 m of what is reported as such; without what lies
within 20 m of roads that stayed, and without pieces shorter than 100 m. Pooled over places.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import Transformer

import swath
from swath.metrics.linematch import distances_m, sample_lines
from swath.scenes.raster import write_raster
from swath.simulate.change import add_changes
from swath.simulate.climate import draw_climate
from swath.simulate.day import plan_series
from swath.simulate.layout import Layout
from swath.simulate.openstreetmap import read_layout
from swath.simulate.parameters import Parameters
from swath.simulate.place import DEFAULT_BANDS
from swath.simulate.scenery import ALWAYS, Canvas
from swath.simulate.series import dated_roads, simulate_series

SPOTS = {
    "liege": ("roads-only/liege.parquet", (5.57, 50.636)),
    "columbus": ("roads-only/columbus.osm.pbf", (-83.0, 39.974)),
    "porto": ("roads-only/porto.osm.pbf", (-8.59, 41.229)),
    "aleppo": ("roads-only/aleppo.parquet", (37.15, 36.2)),
    "bucaramanga": ("roads-only/bucaramanga.parquet", (-73.12, 7.105)),
    "douala": ("roads-only/douala.parquet", (9.707, 4.01)),
    "wuhan-outskirts": ("roads-only/wuhan.parquet", (114.21, 30.652)),
    "bayreuth": ("full/north-bayreuth.osm.gz", (11.58, 50.017)),
    "campo-grande": ("full/campo-grande.osm.gz", (-54.577, -20.478)),
    "moscow": ("full/moscow-crop.osm.gz", (37.605, 55.814)),
    "vaduz": ("full/liechtenstein.osm.pbf", (9.52, 47.14)),
    "aleppo-outskirts": ("roads-only/aleppo.parquet", (37.27, 36.25)),
    "andorra": ("full/andorra.osm.pbf", (1.509, 42.571)),
    "campo-grande-east": ("full/campo-grande.osm.gz", (-54.518, -20.419)),
    "schaan": ("full/liechtenstein.osm.pbf", (9.581, 47.188)),
    "bayreuth-west": ("full/north-bayreuth.osm.gz", (11.508, 50.018)),
    "aleppo-north": ("roads-only/aleppo.parquet", (37.152, 36.292)),
    "bucaramanga-south": ("roads-only/bucaramanga.parquet", (-73.142, 7.049)),
    "columbus-north": ("roads-only/columbus.osm.pbf", (-82.975, 40.05)),
    "douala-west": ("roads-only/douala.parquet", (9.65, 4.064)),
    "liege-north": ("roads-only/liege.parquet", (5.547, 50.754)),
    "porto-south": ("roads-only/porto.osm.pbf", (-8.629, 41.058)),
    "wuhan-south": ("roads-only/wuhan.parquet", (114.287, 30.413)),
    "sao-paulo": ("roads-only/sao-paulo-centre.osm.pbf", (-46.6, -23.528)),
    "andorra-east": ("full/andorra.osm.pbf", (1.696, 42.55)),
    "campo-grande-south": ("full/campo-grande.osm.gz", (-54.589, -20.559)),
    "balzers": ("full/liechtenstein.osm.pbf", (9.512, 47.096)),
    "bayreuth-south": ("full/north-bayreuth.osm.gz", (11.577, 49.971)),
    "aleppo-east": ("roads-only/aleppo.parquet", (37.353, 36.226)),
    "bucaramanga-east": ("roads-only/bucaramanga.parquet", (-73.072, 7.025)),
    "columbus-south": ("roads-only/columbus.osm.pbf", (-83.001, 39.911)),
    "douala-east": ("roads-only/douala.parquet", (9.812, 4.041)),
    "liege-west": ("roads-only/liege.parquet", (5.471, 50.687)),
    "porto-east": ("roads-only/porto.osm.pbf", (-8.476, 41.081)),
    "wuhan-west": ("roads-only/wuhan.parquet", (114.069, 30.57)),
    "sao-paulo-south": ("roads-only/sao-paulo-centre.osm.pbf", (-46.626, -23.574)),
}
"""Places: an extract, and their middle as longitude and latitude."""

UNSEEN = (
    "andorra-east",
    "campo-grande-south",
    "balzers",
    "bayreuth-south",
    "aleppo-east",
    "bucaramanga-east",
    "columbus-south",
    "douala-east",
    "liege-west",
    "porto-east",
    "wuhan-west",
    "sao-paulo-south",
)
"""Places on which nothing of the rule was chosen. On those from "douala" to "aleppo-outskirts", rules before
it were tested; it was chosen on all others, and on real ground."""

DATES, AT = 6, 3
"""Of each series; the index of the first date that shows what changed."""

SIDE_M, REACH_M, WIDE_M, PIECE_M, SEEDS = 2560.0, 20.0, 400.0, 100.0, 300


def layouts(osm: Path, places: list[str]) -> Iterator[tuple[int, str, Layout]]:
    """Places, by number and name, and their streets."""
    for number, (name, (extract, (x, y))) in enumerate(SPOTS.items()):
        if name not in places:
            continue
        zone = gpd.GeoSeries([shapely.Point(x, y)], crs=4326).estimate_utm_crs()
        to_metres = Transformer.from_crs(4326, zone, always_xy=True)
        east, north = to_metres.transform(x, y)
        half = SIDE_M / 2
        box = (east - half, north - half, east + half, north + half)
        bounds = to_metres.transform_bounds(*box, direction="INVERSE")
        yield number, name, read_layout(osm / extract, bounds, 0)


def changed_layout(layout: Layout, seed: int, roads: bool) -> Layout:
    """A layout in which all that changes does so at the date `AT`."""
    made = add_changes(replace(layout, seed=seed), 2, roads=roads)
    tables = [table.copy() for table in (made.lines, made.scenery)]
    for table in tables:
        for name in ("since", "until"):
            dates = table[name].to_numpy()
            table[name] = np.where((dates > 0) & (dates < ALWAYS), dates + AT - 1, dates)
    return replace(made, lines=tables[0], scenery=tables[1])


def wide_m(layout: Layout, wider: float, vanished: bool) -> float:
    """Metres of roads so wide that come, or go."""
    roads = layout.lines[layout.lines["highway"].notna() & (layout.lines["width_m"] > wider)]
    moved = roads["until"] < ALWAYS if vanished else roads["since"] > 0
    return float(roads[moved].clip(layout.grid.bounds).length.sum())


def wide_roads(layout: Layout, number: int) -> Layout:
    """A layout through which one wide road comes and one goes, on ground that is otherwise as it was."""
    made = changed_layout(layout, 100 * number, roads=False)
    rng = np.random.default_rng((number, 11))
    left, bottom, right, top = layout.grid.bounds
    canvas = Canvas(rng, right - left, top - bottom, DATES)
    streets = layout.lines.geometry[layout.lines["highway"].notna()].to_numpy()
    kind, width = ("primary", 11.0) if number % 2 else ("motorway", 22.0)
    rows: list[dict[str, object]] = []
    while len(rows) < 2:
        start = np.array([left, bottom]) + canvas.place(0.05, 0.95)
        line = canvas.wander(start, rng.uniform(0, 7), 1800.0, 0.05)
        free = open_m(shapely.get_parts(shapely.clip_by_rect(line, *layout.grid.bounds)), streets)
        if shapely.length(free).sum() < 700:
            continue
        dates = {"since": 0, "until": AT} if rows else {"since": AT, "until": ALWAYS}
        rows.append(
            {"kind": "road", "width_m": width, "paved": True, "highway": kind, "geometry": line} | dates
        )
    lines = pd.concat([made.lines, gpd.GeoDataFrame(rows, crs=made.lines.crs)], ignore_index=True)
    return replace(made, lines=gpd.GeoDataFrame(lines, crs=made.lines.crs))


def open_m(lines: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pieces of lines, at least `PIECE_M` long, that are farther than `REACH_M` from others."""
    if not len(lines):
        return lines
    merged = shapely.line_merge(shapely.union_all(lines))
    free = shapely.difference(merged, shapely.union_all(shapely.buffer(others, REACH_M)))
    parts = shapely.get_parts(free)
    return parts[shapely.length(parts) >= PIECE_M]


def simulate(folder: Path, layout: Layout, seed: int) -> None:
    """Images and `roads.gpkg` of a place."""
    values = Parameters()
    climate = draw_climate(sum(layout.grid.lonlat_bounds[1::2]) / 2, seed)
    days = plan_series(DATES, climate, values, seed)
    series = simulate_series(layout, days, DEFAULT_BANDS, values)
    for day, image in zip(series.days, series.images, strict=True):
        path = folder / f"{day.date}.tif"
        write_raster(path, image, layout.grid, nodata=0, names=DEFAULT_BANDS)
    dated_roads(layout, days).to_file(folder / "roads.gpkg", layer="roads", engine="pyogrio")


def lay_out(kind: str, layout: Layout, number: int, wider: float) -> tuple[Layout, int] | None:
    """What changes in a place, and the seed of its days."""
    first = 100 * number
    if kind == "roads":
        return wide_roads(layout, number), first
    for seed in range(first, first + SEEDS):
        changed = changed_layout(layout, seed, kind == "changed")
        if kind == "same" or wide_m(changed, wider, number % 2 == 1) >= WIDE_M:
            return changed, seed
    return None


def make(osm: Path, work: Path, places: list[str], kind: str, wider: float) -> None:
    """Simulate and map what is not there."""
    for number, name, layout in layouts(osm, places):
        folder, maps = work / kind / name, work / f"{kind}-maps" / name
        if maps.exists():
            continue
        changed = lay_out(kind, layout, number, wider)
        if changed is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        simulate(folder, *changed)
        swath.map_scenes(sorted(folder.glob("*.tif")), out=maps, name=name)
        print(f"{kind} {name} made", flush=True)  # noqa: T201


def near_m(lines: np.ndarray, others: np.ndarray) -> float:
    """Metres of lines that lie within `REACH_M` of others."""
    if not len(lines):
        return 0.0
    points, weight, _ = sample_lines(lines)
    return float(weight[distances_m(points, others, REACH_M) <= REACH_M].sum())


def compare(folder: Path, truth: Path, wider: float) -> dict[str, np.ndarray]:
    """Kilometres mapped; of new and of vanished roads: km reported, right, true and wide, found."""
    maps = swath.open_maps(folder).only
    days = maps.all_dates
    with tempfile.TemporaryDirectory() as scratch:
        reported = swath.changes(
            folder,
            None,
            Path(scratch) / "changes.gpkg",
            before=f"{days[0]}..{days[AT - 1]}",
            after=f"{days[AT]}..{days[-1]}",
        )
    # Roads that are laid may run out of the picture.
    roads = gpd.read_file(truth, layer="roads").to_crs(maps.grid.crs).clip(maps.grid.bounds)
    dates = {"new": roads["from"], "vanished": roads["until"]}
    every, wide = roads.geometry.to_numpy(), (roads["width_m"] > wider).to_numpy()
    stayed = every[(roads["from"].isna() & roads["until"].isna()).to_numpy()]
    result = {"mapped": np.array([maps.roads()["length_m"].sum()]) / 1e3}
    for change, date in dates.items():
        moved = date.notna().to_numpy()
        true = open_m(shapely.get_parts(every[moved & wide]), stayed)
        lines = reported.geometry.to_numpy()[(reported["change"] == change).to_numpy()]
        right = near_m(lines, shapely.get_parts(every[moved]))
        total, metres = (float(shapely.length(some).sum()) for some in (lines, true))
        result[change] = np.array([total, right, metres, near_m(true, lines)]) / 1e3
    return result


def main() -> None:
    """Make, compare, and say it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("osm", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--places", nargs="+", choices=SPOTS, default=UNSEEN)
    parser.add_argument("--kinds", nargs="+", default=["same", "roads", "changed"])
    parser.add_argument("--wider", type=float, default=8.0)
    options = parser.parse_args()
    for kind in options.kinds:
        make(options.osm, options.work, options.places, kind, options.wider)
        sums: dict[str, np.ndarray] = {}
        folders = [options.work / f"{kind}-maps" / name for name in options.places]
        for folder in filter(Path.exists, folders):
            row = compare(folder, options.work / kind / folder.name / "roads.gpkg", options.wider)
            said = {name: values.round(2).tolist() for name, values in row.items()}
            print(kind, folder.name, json.dumps(said), flush=True)  # noqa: T201
            sums = {name: sums.get(name, 0) + values for name, values in row.items()}
        both = sums["new"] + sums["vanished"]
        for name in ("new", "vanished", "both"):
            total, right, true, found = both if name == "both" else sums[name]
            precision, recall = right / max(total, 1e-9), found / max(true, 1e-9)
            f1 = 2 * precision * recall / max(precision + recall, 1e-9)
            share = total / sums["mapped"][0]
            print(  # noqa: T201
                f"{kind}, {name}: {total:.1f} km reported, {share:.2%} of what is mapped; "
                f"precision {precision:.2f}; {true:.1f} km true, recall {recall:.2f}; F1 {f1:.2f}"
            )


if __name__ == "__main__":
    main()

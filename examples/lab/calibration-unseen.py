"""How far the starter's scores can be believed where it has not learnt, and what mends them without labels.

    python examples/lab/calibration-unseen.py SITES

SITES: examples/lab/starter/places.yaml; its labelled places that no training saw are measured. ECE: of the
fused map, pixels of 5 m, against labels 15 m wide, ten intervals of the score.

    as it comes   images where they are
    registered    each image moved by its `shift_m`
    best shift    registered, and the labels moved by up to 20 m each way, where correlation is best

and then, registered, without the place's own labels:

    others        slope and offset in logits, fitted on the labels of the other places
    own lines     an offset after which the mean score is the share of pixels within 7.5 m of traced lines
    own classes   an offset after which the mean score is the share of pixels that the class map has as road
"""

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from scipy.optimize import brentq, minimize

import swath
from swath.grid import Grid
from swath.lab.stability.inmemory import InMemoryMapper
from swath.legend import read_legend
from swath.mapping.predict import DatedImage, Predictor
from swath.maps.lines import SheetScores, trace_sheet
from swath.maps.rasters import scene_edge
from swath.metrics.histogram import BINS, score_bins, threshold
from swath.metrics.scores import average_precision, calibration_error
from swath.models.starter import STARTER
from swath.scenes.warp import read_on_grid
from swath.sites.schema import SitesFile, read_sites_file
from swath.sites.series import plan_series
from swath.tiles import Tile

LINE_M, UNSURE_M, MOST_M = 15.0, 35.0, 20
ROADS = frozenset(read_legend("roads").classes[1].tags["highway"])

Scores = NDArray[np.float64]


def mapped(name: str, settings: SitesFile, folder: Path, predictor: Predictor) -> tuple[NDArray, Grid]:
    """(1, H, W) codes of a place's fused map, and their grid."""
    image = settings.image
    series = plan_series(name, settings, folder, image.required)
    images = []
    for scene in series.scenes:
        numbers = read_on_grid(scene, series.grid, image)
        images.append(DatedImage(scene.date, lambda w, numbers=numbers: numbers[(slice(None), *w.slices)]))
    mapper = InMemoryMapper(predictor, series.grid.shape)
    return mapper.fuse(images, [mapper.pmap(one) for one in images]), series.grid.finer(predictor.finer)


def truth(name: str, settings: SitesFile, folder: Path, grid: Grid) -> tuple[NDArray, shapely.Geometry]:
    """Lines, and the area in which they count."""
    site = settings.sites[name]
    table = gpd.read_file(folder / str(site.labels.path)).to_crs(grid.crs)
    kinds = table["highway"].fillna("road").astype(str)
    by_eye = site.split == "test"
    unsure = kinds.eq("road") & by_eye
    area = shapely.union_all(gpd.read_file(folder / str(site.coverage)).to_crs(grid.crs).geometry)
    if unsure.any():
        area = shapely.difference(area, shapely.union_all(table.geometry[unsure].buffer(UNSURE_M)))
    sure = kinds.isin(ROADS | {"track"} if by_eye else ROADS) & ~unsure
    return shapely.get_parts(shapely.force_2d(table.geometry[sure].to_numpy())), area


def burnt(shape: shapely.Geometry, grid: Grid) -> NDArray[np.bool_]:
    """(H, W): pixels whose middle lies in a shape."""
    return ~geometry_mask([shape], grid.shape, grid.transform)


def ece(score: Scores, road: NDArray[np.bool_]) -> tuple[float, float]:
    """ECE and PR-AUC."""
    bins = score_bins(np.clip(score, 0, 1))
    counts = np.stack([np.bincount(bins[road == is_road], minlength=BINS) for is_road in (False, True)])
    return float(calibration_error(counts)), float(average_precision(counts))


def logit(score: Scores) -> Scores:
    """Of scores as they are stored, so never of 0 or 1."""
    kept = np.clip(score, 0.5 / 254, 1 - 0.5 / 254)
    return np.log(kept / (1 - kept))


def sigmoid(x: Scores) -> Scores:
    """Back again."""
    return 1 / (1 + np.exp(-x))


def to_share(score: Scores, share: float) -> Scores:
    """Scores moved in logits so that their mean is a share."""
    x = logit(score)
    return sigmoid(x + brentq(lambda b: sigmoid(x + b).mean() - share, -8, 8))


def fitted(pairs: list[tuple[Scores, NDArray[np.bool_]]]) -> tuple[float, float]:
    """Slope and offset with the least cross entropy; each place weighs the same."""
    rng = np.random.default_rng(0)
    parts = []
    for score, road in pairs:
        pick = rng.integers(0, len(score), 20_000)
        parts.append((logit(score[pick]), road[pick]))

    def loss(values: NDArray[np.float64]) -> float:
        return float(
            np.mean(
                [np.logaddexp(0, -(values[0] * x + values[1]) * np.where(t, 1, -1)).mean() for x, t in parts]
            )
        )

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(slope), float(offset)


def line_share(codes: NDArray, grid: Grid, use: NDArray[np.bool_]) -> float:
    """The share of pixels near the lines that are traced."""
    known = codes[0] != 255
    size = (abs(grid.resolution[1]), grid.resolution[0])
    score = np.where(known, codes[0] / 254, 0).astype(np.float32)
    scores = SheetScores(score, known, threshold(scene_edge([codes])), size)
    lines = trace_sheet(scores, Tile(grid.window, grid.window), grid.window).lines
    left, _, _, top = grid.bounds
    step = np.array([size[1], -size[0]])
    lines = shapely.transform(lines, lambda pixels: (pixels + 0.5) * step + (left, top))
    return float(burnt(shapely.union_all(shapely.buffer(lines, LINE_M / 2)), grid)[use].mean())


def best_shift(codes: NDArray, road: NDArray[np.bool_], use: NDArray[np.bool_], px: float) -> tuple[int, int]:
    """By how many pixels (down, right) the labels move where they fit the map best."""
    most = round(MOST_M / px)
    score = np.where(use, codes[0] / 254, 0)
    moves = [(r, c) for r in range(-most, most + 1) for c in range(-most, most + 1)]
    return max(moves, key=lambda move: np.corrcoef(np.roll(road, move, (0, 1))[use], score[use])[0, 1])


def main() -> None:
    """Measure each place, then what mends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sites", type=Path)
    options = parser.parse_args()
    settings, folder = read_sites_file(options.sites), options.sites.parent
    unmoved = settings.model_copy(
        update={
            "sites": {
                name: site.model_copy(
                    update={
                        "scenes": tuple(s.model_copy(update={"shift_m": (0.0, 0.0)}) for s in site.scenes)
                    }
                )
                for name, site in settings.sites.items()
            }
        }
    )
    predictor = Predictor(swath.load_model(STARTER), "cpu", "auto")
    places = [n for n, s in settings.sites.items() if s.labels is not None and s.split != "train"]
    kept: dict[str, tuple[Scores, NDArray[np.bool_], float, float]] = {}
    for name in places:
        said = []
        for version in (unmoved, settings):
            codes, grid = mapped(name, version, folder, predictor)
            lines, area = truth(name, settings, folder, grid)
            use = burnt(area, grid) & (codes[0] != 255)
            road = burnt(shapely.union_all(shapely.buffer(lines, LINE_M / 2)), grid)
            said.append(ece(codes[0][use] / 254, road[use]))
        down, right = best_shift(codes, road, use, grid.resolution[0])
        said.append(ece(codes[0][use] / 254, np.roll(road, (down, right), (0, 1))[use]))
        score = codes[0][use] / 254
        classes = float((score > threshold(scene_edge([codes]))).mean())
        kept[name] = score, road[use], line_share(codes, grid, use), classes
        print(  # noqa: T201
            f"| {name} | " + " | ".join(f"{e:.3f} ({a:.3f})" for e, a in said),
            f"| {score.mean():.3f} | {road[use].mean():.3f} | {down * 5} m south, {right * 5} m east |",
            flush=True,
        )
    for name, (score, road, lines_share, classes) in kept.items():
        slope, offset = fitted([pair[:2] for other, pair in kept.items() if other != name])
        mended = (
            score,
            sigmoid(slope * logit(score) + offset),
            to_share(score, lines_share),
            to_share(score, classes),
        )
        print(  # noqa: T201
            f"| {name} | " + " | ".join(f"{ece(one, road)[0]:.3f}" for one in mended),
            f"| slope {slope:.2f} offset {offset:+.2f}; lines {lines_share:.3f} classes {classes:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

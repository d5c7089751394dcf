"""How far simulated images are from real ones: figures of both, and a two-sample test."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from swath.errors import InputError, MissingExtraError
from swath.grid import Grid
from swath.lab.realism.texture import cut_patches, feature_names, texture_features
from swath.labels.burn import burn_mask
from swath.labels.features import read_polygons
from swath.labels.source import read_labels_source
from swath.legend import read_legend
from swath.progress import track
from swath.scenes.warp import find_scenes, plan_grid, read_on_grid
from swath.sentinel2 import QUANTIFICATION, ImageSettings, valid_mask
from swath.sites.schema import SiteSettings, read_sites_file

BANDS = ("B02", "B03", "B04", "B08")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LAND = ("water", "vegetation", "mixed", "built or bare")
"""Land classes told by the first image alone, so that places without labels have them too: water by
NDWI > 0.1; else by NDVI: above 0.45, above 0.2, the rest."""

_PATCHES = 30
"""Patches of one image at most, so that no city outweighs the others."""

_FOLDS = 5
_TREES = 80


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The images of one site, in reflectance.

    Attributes:
        name: Of the site.
        images: (T, 4, H, W) float32 reflectance of `BANDS`, oldest first.
        valid: (T, H, W) bool.
        roads: (H, W) bool pixels of road lines; None without labels.
        complete: (H, W) bool where the lines are complete.
    """

    name: str
    images: NDArray[np.float32]
    valid: NDArray[np.bool_]
    roads: NDArray[np.bool_] | None
    complete: NDArray[np.bool_]


def measure_realism(simulated: Path, real: Path, seed: int) -> dict[str, Any]:
    """Compare the images of two sites files; see `compare`.

    Raises:
        SettingsError: A file breaks the format.
        InputError: An image or a label file cannot be read; too few sites.
        MissingExtraError: scikit-learn is not installed.
    """
    if find_spec("sklearn") is None:
        raise MissingExtraError("swath realism", "scikit-learn", "baselines")
    return compare(read_places(simulated, "simulated"), read_places(real, "real"), seed)


def read_places(sites_file: Path, what: str) -> list[Place]:
    """Read the images of all sites of a sites file; sites need no labels.

    Args:
        sites_file: As `swath build` takes it.
        what: For the progress bar.

    Raises:
        SettingsError: The file breaks the format.
        InputError: An image or a label file cannot be read.
    """
    sites = read_sites_file(sites_file)
    places = []
    for name, site in track(sites.sites.items(), f"reading {what} images", len(sites.sites)):
        places.append(_read_place(name, site, sites_file.parent))
    return places


def _read_place(name: str, site: SiteSettings, folder: Path) -> Place:
    scenes = find_scenes(site.scenes, folder)
    grid = plan_grid(scenes, bounds=site.bounds, crs=site.crs)
    settings = ImageSettings(bands=BANDS, encoding="reflectance")
    stored = np.stack([read_on_grid(scene, grid, settings) for scene in scenes])
    roads, complete = _read_roads(site, grid, folder)
    return Place(
        name=name,
        images=stored.astype(np.float32) / np.float32(QUANTIFICATION),
        valid=valid_mask(stored),
        roads=roads,
        complete=complete,
    )


def _read_roads(
    site: SiteSettings, grid: Grid, folder: Path
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_]]:
    everywhere = np.ones(grid.shape, np.bool_)
    if site.labels is None:
        return None, everywhere
    found = read_labels_source(site.labels, read_legend("roads"), grid, folder)
    complete = everywhere if found.complete is None else found.complete
    if site.coverage is not None:
        complete = complete & burn_mask(read_polygons(folder / site.coverage, grid), grid)
    return burn_mask(found.features.geometry, grid), complete


def compare(simulated: Sequence[Place], real: Sequence[Place], seed: int) -> dict[str, Any]:
    """All figures of both, and the two-sample test.

    Args:
        simulated: Simulated places.
        real: Real places.
        seed: Of the forests and of the choice of patches.

    Returns:
        Plain JSON values: `simulated` and `real` (see `describe`), and `test` (see `tell_apart`).

    Raises:
        InputError: Too few places to hold some out.
    """
    test = tell_apart(simulated, real, seed)
    return {"simulated": describe(simulated), "real": describe(real), "test": test}


def describe(places: Sequence[Place]) -> dict[str, Any]:
    """Figures of places, each the mean over places and the deviation from place to place.

    Returns:
        `quantiles`: band -> quantile -> [mean, deviation] of reflectance; `between_dates`: land
        class -> band -> {correlation, slope} of the second image on the first; `spectrum`: band ->
        {slope, fine}; `road_contrast`: band -> [mean, deviation].
    """
    return {
        "places": [place.name for place in places],
        "images": sum(len(place.images) for place in places),
        "quantiles": _quantiles(places),
        "between_dates": _between_dates(places),
        "spectrum": _spectrum(places),
        "road_contrast": _road_contrast(places),
    }


def _summary(values: Sequence[float]) -> list[float] | None:
    """Mean and deviation, rounded; None without values."""
    known = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    if len(known) == 0:
        return None
    return [round(float(known.mean()), 4), round(float(known.std()), 4)]


def _quantiles(places: Sequence[Place]) -> dict[str, Any]:
    found = {
        (at, q): [
            float(np.quantile(image[at][ok], q))
            for place in places
            for image, ok in zip(place.images, place.valid, strict=True)
        ]
        for at in range(len(BANDS))
        for q in QUANTILES
    }
    return {
        band: {str(q): _summary(found[at, q]) for q in QUANTILES} for at, band in enumerate(BANDS)
    }


def land_classes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W) uint8 index into `LAND` of a (4, H, W) image."""
    _, green, red, nir = image
    ndvi = (nir - red) / np.maximum(nir + red, 1e-4)
    ndwi = (green - nir) / np.maximum(green + nir, 1e-4)
    found = np.select([ndwi > 0.1, ndvi > 0.45, ndvi > 0.2], [0, 1, 2], 3)
    return found.astype(np.uint8)


def _between_dates(places: Sequence[Place]) -> dict[str, Any]:
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for place in places:
        if len(place.images) < 2:
            continue
        first, second = place.images[:2]
        ok = place.valid[0] & place.valid[1]
        land = land_classes(first)
        for number, name in enumerate((*LAND, "all")):
            here = ok & (land == number) if name != "all" else ok
            if here.sum() < 400:
                continue
            for at, band in enumerate(BANDS):
                a, b = first[at][here], second[at][here]
                slope = float(np.cov(a, b)[0, 1] / max(float(a.var()), 1e-9))
                pairs.setdefault((name, band), []).append((float(np.corrcoef(a, b)[0, 1]), slope))
    result: dict[str, Any] = {}
    for (name, band), values in pairs.items():
        result.setdefault(name, {})[band] = {
            "correlation": _summary([v[0] for v in values]),
            "slope": _summary([v[1] for v in values]),
            "places": len(values),
        }
    return result


def _spectrum(places: Sequence[Place]) -> dict[str, Any]:
    """How fast power falls with frequency, and how much fine detail there is.

    `slope` is that of log power against log frequency between periods of 32 and 4 px; `fine` the
    power at periods below 2.7 px against that at 5 to 8 px, in decibels.
    """
    result: dict[str, Any] = {}
    for at, band in enumerate(BANDS):
        slopes, fine = [], []
        for place in places:
            for image, ok in zip(place.images, place.valid, strict=True):
                frequency, power = radial_power(np.where(ok, image[at], image[at][ok].mean()))
                chosen = (frequency > 1 / 32) & (frequency < 1 / 4)
                slopes.append(np.polyfit(np.log(frequency[chosen]), np.log(power[chosen]), 1)[0])
                small = power[(frequency > 0.375) & (frequency <= 0.5)].mean()
                middle = power[(frequency > 0.125) & (frequency < 0.2)].mean()
                fine.append(10 * np.log10(small / middle))
        result[band] = {"slope": _summary(slopes), "fine": _summary(fine)}
    return result


def radial_power(image: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean power by frequency of a picture's largest square.

    Args:
        image: (H, W).

    Returns:
        (n,) frequencies in cycles per pixel, and (n,) powers.
    """
    side = min(image.shape)
    square = image[:side, :side] - image[:side, :side].mean()
    window = np.hanning(side)
    power = np.abs(np.fft.fft2(square * window[:, None] * window)) ** 2
    axis = np.fft.fftfreq(side)
    radius = np.rint(np.hypot(axis[:, None], axis) * side).astype(np.int64)
    total = np.bincount(radius.ravel(), power.ravel())
    count = np.bincount(radius.ravel())
    rings = np.arange(1, side // 2)
    return rings / side, total[rings] / count[rings]


def _road_contrast(places: Sequence[Place]) -> dict[str, Any] | None:
    """Roads against the ground 3 to 6 px away, in deviations of the picture, by band.

    `between_dates` is the deviation of a place's contrast from date to date.
    """
    values: dict[str, list[float]] = {band: [] for band in BANDS}
    swings: dict[str, list[float]] = {band: [] for band in BANDS}
    square = np.ones((3, 3), np.bool_)
    for place in places:
        if place.roads is None or not (place.roads & place.complete).any():
            continue
        near = binary_dilation(place.roads, square, 2)
        around = binary_dilation(place.roads, square, 5) & ~near & place.complete
        road = place.roads & place.complete
        for at, band in enumerate(BANDS):
            found = []
            for image, ok in zip(place.images, place.valid, strict=True):
                if (around & ok).sum() < 200 or (road & ok).sum() < 200:
                    continue
                gap = image[at][road & ok].mean() - image[at][around & ok].mean()
                found.append(float(gap / image[at][place.complete & ok].std()))
            values[band] += found
            if len(found) > 1:
                swings[band].append(float(np.std(found)))
    if not any(values.values()):
        return None
    return {
        band: {"contrast": _summary(values[band]), "between_dates": _summary(swings[band])}
        for band in BANDS
    }


def tell_apart(simulated: Sequence[Place], real: Sequence[Place], seed: int) -> dict[str, Any]:
    """A classifier two-sample test: how well a random forest tells real from simulated patches.

    Patches of 32 px; the places of a fold are held out whole. 0.5 is perfect.

    Args:
        simulated: Simulated places.
        real: Real places.
        seed: Of the forests.

    Returns:
        `texture`: by ratios alone, `all`: by brightness too, each with the balanced `accuracy`, the
        `auc` and the most important features (name, importance, and how far the simulated mean
        lies from the real one, in deviations of the real patches); `real_against_real`: the
        accuracy where the real places themselves are parted at random, which a perfect simulation
        would reach.

    Source: Lopez-Paz and Oquab 2017, classifier two-sample tests.
    """
    for name, places in (("simulated", simulated), ("real", real)):
        if len(places) < _FOLDS:
            raise InputError(
                f"{len(places)} {name} sites; the test holds out whole sites and needs at least "
                f"{_FOLDS} of either kind"
            )
    rng = np.random.default_rng(seed)
    samples = [_sample(place, rng) for place in (*simulated, *real)]
    features = np.concatenate(samples)
    groups = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    truth = (groups >= len(simulated)).astype(np.int64)
    names = feature_names(BANDS)
    ratios = [at for at, name in enumerate(names) if not name.startswith("level")]
    means = [features[truth == kind].mean(axis=0) for kind in (0, 1)]
    gaps = (means[0] - means[1]) / features[truth == 1].std(axis=0)
    result: dict[str, Any] = {"patches": [int((truth == kind).sum()) for kind in (0, 1)]}
    for label, chosen in (("texture", ratios), ("all", list(range(len(names))))):
        scores = _forest(features[:, chosen], truth, groups, seed)
        order = np.argsort(-scores["importance"])[:10]
        result[label] = {
            "accuracy": scores["accuracy"],
            "auc": scores["auc"],
            "important": [
                [
                    names[chosen[at]],
                    round(float(scores["importance"][at]), 3),
                    round(float(gaps[chosen[at]]), 2),
                ]
                for at in order
            ],
            "by_place": {
                place.name: round(float(scores["hit"][groups == at].mean()), 3)
                for at, place in enumerate((*simulated, *real))
            },
        }
    mine = truth == 1
    controls = []
    for _ in range(2):
        half = rng.permutation(np.arange(len(simulated), len(samples)))[: len(real) // 2]
        pretended = np.isin(groups[mine], half).astype(np.int64)
        controls.append(
            _forest(features[mine][:, ratios], pretended, groups[mine], seed)["accuracy"]
        )
    result["real_against_real"] = round(float(np.mean(controls)), 3)
    return result


def _sample(place: Place, rng: np.random.Generator) -> NDArray[np.float32]:
    """Features of some patches of every image of a place."""
    found = []
    for image, ok in zip(place.images, place.valid, strict=True):
        patches = cut_patches(image, ok)
        chosen = rng.permutation(len(patches))[:_PATCHES]
        if len(chosen):
            found.append(texture_features(patches[np.sort(chosen)], BANDS))
    if not found:
        raise InputError(f"{place.name}: no piece of 32 x 32 px without missing data")
    return np.concatenate(found)


def _forest(
    features: NDArray[np.float32], truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Scores on held-out places."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    share = np.zeros(len(truth))
    importance = np.zeros(features.shape[1])
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, truth, groups):
        forest = RandomForestClassifier(
            _TREES,
            min_samples_leaf=2,
            max_samples=0.6,
            class_weight="balanced",
            random_state=seed,
        )
        forest.fit(features[train], truth[train])
        share[test] = forest.predict_proba(features[test])[:, 1]
        importance += forest.feature_importances_ / _FOLDS
    guess = (share > 0.5).astype(np.int64)
    return {
        "accuracy": round(float(balanced_accuracy_score(truth, guess)), 3),
        "auc": round(float(roc_auc_score(truth, share)), 3),
        "importance": importance,
        "hit": guess == truth,
    }

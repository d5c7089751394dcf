"""MAPS folders drawn from labels, as the contract says, and the rows of their report."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import Dataset, read_labels
from swath.evaluation.candidate import CONTROLS, Candidate, CandidateOrDate
from swath.evaluation.report import Report
from swath.evaluation.row import Row
from swath.files import write_json
from swath.grid import Grid
from swath.legend import Legend
from swath.maps.manifest import MANIFEST_NAME, Manifest, Mapped, Settings
from swath.maps.rasters import classify, pmap_bands, with_rest
from swath.maps.sitemaps import SiteMaps, class_codes, encode_pmap
from swath.scenes.raster import write_raster

DATES = (dt.date(2019, 3, 11), dt.date(2019, 7, 4), dt.date(2019, 10, 7))
MODELS: tuple[CandidateOrDate, ...] = (*DATES, Candidate.DATES, Candidate.FUSED, *CONTROLS)

Edit = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def write_maps(
    root: Path,
    site: str,
    grid: Grid,
    pmaps: NDArray[np.float32],
    fused: NDArray[np.float32],
    legend: Legend,
    *,
    valid: NDArray[np.bool_] | None = None,
    fusion: str = "convlstm",
    splits: dict[str, tuple[str, ...]] | None = None,
) -> SiteMaps:
    """Write MAPS/<site> as the contract says: (T, lc, H, W) PMaps and their (lc, H, W) fusion."""
    folder = root / site
    folder.mkdir(parents=True)
    valid = np.ones(pmaps[:, 0].shape, bool) if valid is None else valid
    dates = DATES[: len(pmaps)]
    maps = SiteMaps(
        folder=folder,
        site=site,
        dates=dates,
        legend=legend,
        model="unet-convlstm",
        fusion=fusion,  # type: ignore[arg-type]
        splits=splits or {},
        attribution="drawn by a test",
    )
    seen = valid.any(axis=0)
    codes, bands = encode_pmap(fused, seen), pmap_bands(legend)
    for date, pmap, mask in zip(dates, pmaps, valid, strict=True):
        write_raster(maps.pmap_path(date), with_rest(encode_pmap(pmap, mask)), grid, nodata=255, names=bands)
    write_raster(maps.fused_path, with_rest(codes), grid, nodata=255, names=bands)
    classes = classify(codes)[None]
    write_raster(maps.classes_path, classes, grid, nodata=255, names=["class"])
    shown = np.stack([class_codes(encode_pmap(pmaps[t % len(pmaps)], seen), 1) for t in range(3)])
    write_raster(maps.composite_path, shown, grid, nodata=0, names=["red", "green", "blue"])
    write_json(maps.item_path, {"properties": maps.fields()})
    settings = Settings(tile_px=512, precision="fp32", orientations=1, device="cpu", max_dates=3)
    manifest = Manifest(
        run="run",
        model_sha256="0" * 64,
        settings=settings,
        crs=grid.crs,
        transform=tuple(grid.transform)[:6],
        shape=grid.shape,
        dates={date: Mapped(source="", attribution="") for date in dates},
    )
    write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
    return maps


def draw_pmaps(labels: NDArray[np.uint8], noise: float, seed: int, dates: int = 3) -> NDArray[np.float32]:
    """(T, 2, H, W) PMaps: the label, blurred by noise; the classes do not sum to 1."""
    generator = np.random.default_rng(seed)
    road = 0.2 + 0.5 * (labels == 1)
    noisy = np.clip(road + generator.normal(0, noise, (dates, *labels.shape)), 0, 1)
    background = np.clip(1 - noisy + generator.normal(0, 0.05, noisy.shape), 0, 1)
    return np.stack([background, noisy], axis=1).astype(np.float32)


def map_all(root: Path, dataset: Dataset, *, only: Sequence[str] = (), edit: Edit | None = None) -> Path:
    """Maps of the dataset's sites; the fused one is much better than its dates."""
    for seed, site in enumerate(dataset.sites):
        if only and site.name not in only:
            continue
        labels = read_labels(site)
        pmaps, fused = draw_pmaps(labels, 0.4, seed), draw_pmaps(labels, 0.15, 99 + seed)[0]
        if edit is not None:
            pmaps, fused = edit(pmaps), edit(fused)
        write_maps(root, site.name, site.grid, pmaps, fused, dataset.legend)
    return root


def row(report: Report, model: CandidateOrDate, split: str, site: str = "all", rule: str = "half") -> Row:
    (only,) = (
        r for r in report.rows if (r.model, r.split, r.site, r.threshold_rule) == (model, split, site, rule)
    )
    return only

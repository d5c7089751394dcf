"""Drawn maps of three classes over a dataset's sites."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from support.drawn_maps import write_maps
from swath.dataset.site import Dataset, read_labels
from swath.files import sha256
from swath.legend import IGNORE, Legend
from swath.scenes.raster import write_raster

LEGEND = Legend.model_validate(
    {
        "name": "three",
        "unmapped": "ignore",
        "classes": [
            {"id": 0, "name": "field", "color": "#ffff00", "geometry": "area", "tags": {"landuse": ["farm"]}},
            {"id": 1, "name": "road", "color": "#ff0000", "geometry": "line", "tags": {"highway": ["*"]}},
            {
                "id": 2,
                "name": "water",
                "color": "#0000ff",
                "geometry": "area",
                "tags": {"natural": ["water"]},
            },
        ],
    }
)


def of_three_classes(dataset: Dataset, folder: Path) -> Dataset:
    """The same sites with field, road and a square of water; twenty rows are ignored."""
    sites = []
    folder.mkdir(parents=True, exist_ok=True)
    for site in dataset.sites:
        labels = read_labels(site).copy()
        labels[60:, 60:] = 2
        labels[:20] = IGNORE
        path = folder / f"{site.name}.tif"
        write_raster(path, labels[None], site.grid, nodata=IGNORE, names=["class"])
        sites.append(replace(site, labels=path, labels_sha256=sha256(path)))
    return replace(dataset, legend=LEGEND, sites=tuple(sites))


def noisy(labels: NDArray[np.uint8], noise: float, seed: int, dates: int = 3) -> NDArray[np.float32]:
    """(T, 3, H, W) PMaps: the label, and noise over it; where nothing is labelled, field."""
    generator = np.random.default_rng(seed)
    true = np.where(labels == IGNORE, 0, labels)
    drawn = 0.2 + 0.6 * (true == np.arange(3)[:, None, None])
    return np.clip(drawn + generator.normal(0, noise, (dates, *drawn.shape)), 0, 1).astype(np.float32)


def map_classes(root: Path, dataset: Dataset, *, fusion: str = "convlstm") -> Path:
    """Maps of all sites; the fused one is better than its dates."""
    for seed, site in enumerate(dataset.sites):
        labels = read_labels(site)
        fused = noisy(labels, 0.15, 99 + seed, dates=1)[0]
        pmaps = noisy(labels, 0.4, seed)
        write_maps(root, site.name, site.grid, pmaps, fused, dataset.legend, fusion=fusion)
    return root

"""Figures of maps of many classes: the confusion matrix, and every site as image, label, map, errors."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import read_image
from swath.evaluation.agreement import ClassMap
from swath.evaluation.decisions import decide
from swath.evaluation.truth import Truth
from swath.legend import IGNORE
from swath.maps.sitemaps import SiteMaps, read_pmap
from swath.metrics.histogram import bin_values
from swath.report.figures import (
    IGNORE_RGB,
    SHOWN_FIRST,
    Picture,
    class_colours,
    draw_panels,
    panels,
    plan_view,
    rgb_view,
    save_picture,
)


def draw_matrix(path: Path, row: ClassMap, title: str) -> Picture:
    """Draw a confusion matrix, every row in shares of its labelled pixels."""
    counts, names = np.array(row.matrix, np.float64), list(row.classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = panels(1)
    figure.subplots_adjust(left=0.27, right=0.98, top=0.93, bottom=0.27)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="map", ylabel="label")
    axes.set_title(title, fontsize=9)
    for at, share in np.ndenumerate(shares):
        if counts[at]:
            colour = "white" if share > 0.5 else "black"
            axes.text(at[1], at[0], f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    return save_picture(
        figure, path, f"Confusion matrix, {title}", "Per cent of the labelled pixels of each row's class."
    )


def draw_classes(folder: Path, maps: SiteMaps, truth: Truth) -> list[Picture]:
    """Draw a site's map as `<site>_*.png`: image, label and map side by side; errors; how sure it is."""
    labels = truth.read_labels()
    split = next(name for name in SHOWN_FIRST if name in truth.splits)
    view = plan_view((labels != IGNORE) & truth.inside(split), truth.grid)
    shown, legend = labels[view.slices], truth.legend
    pmap, valid = read_pmap(maps.fused_path, view)
    mapped, bins = decide(pmap)
    mapped = np.where(valid, mapped, np.uint8(IGNORE))
    pictures = {"label": class_colours(shown, legend), "map": class_colours(mapped, legend)}
    if truth.acquisitions:
        newest = ([a for a in truth.acquisitions if a.date in maps.dates] or truth.acquisitions)[-1]
        pictures = {
            str(newest.date): rgb_view(read_image(newest, view.coarser(maps.finer)), truth.bands),
            **pictures,
        }
    key = {c.name: c.rgb for c in legend.classes} | {"ignore": IGNORE_RGB}
    return [
        draw_panels(
            f"{folder / truth.site}_classes.png",
            pictures,
            "Image, label and map",
            "The newest image, its contrast stretched, the label, and the likeliest class.",
            key,
        ),
        draw_panels(
            f"{folder / truth.site}_errors.png",
            {"errors, in the colour of the label": _errors(shown, mapped, pictures["label"])},
            "Errors",
            "White is right; where the map is wrong, the colour is what the label has; grey is not scored.",
        ),
        draw_panels(
            f"{folder / truth.site}_sure.png",
            {"how sure": _sure(bins, valid)},
            "How sure the map is",
            "The score of the likeliest class: black 0, white 1.",
        ),
    ]


def _errors(
    labels: NDArray[np.uint8], mapped: NDArray[np.uint8], coloured: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    picture = coloured.copy()
    picture[labels == mapped] = 255
    picture[(labels == IGNORE) | (mapped == IGNORE)] = IGNORE_RGB
    return picture


def _sure(bins: NDArray[np.uint16], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    grey = np.where(valid, 255 * bin_values()[bins], 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)

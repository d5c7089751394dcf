"""The figures of the paper for every site, and the curves of every split, as PNG files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import read_image
from swath.evaluation.truth import Truth
from swath.grid import Grid, Window
from swath.groundsize import pixel_m
from swath.legend import IGNORE, Legend, LegendClass
from swath.maps.sitemaps import FUSED_BY, SiteMaps, read_bytes, read_pmap
from swath.metrics.histogram import class_score, score_bins, selected, threshold
from swath.metrics.scores import calibration_curve, precision_recall_curve
from swath.report.text import place_text
from swath.scenes.raster import open_raster
from swath.sentinel2 import NODATA, TCI_BANDS, valid_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VIEW_PX = 512
"""Side of the part of a site that is shown: every pixel keeps a dot of its own."""

RGB = tuple[int, int, int]

SHOWN_FIRST = ("test", "validation", "train", "all")
IGNORE_RGB = (200, 200, 200)
# Okabe and Ito's colours: told apart with any colour vision, and in grey.
RIGHT_RGB, INVENTED_RGB, MISSED_RGB = (60, 60, 60), (230, 159, 0), (0, 114, 178)
LINE_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_INCHES = 4.5
_DPI = 130


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure: its PNG, what it is, how to read it, and how many pictures stand side by side in it."""

    path: Path
    title: str
    caption: str
    panels: int = 1


def plan_view(positive: NDArray[np.bool_], grid: Grid) -> Window:
    """The window that is shown: up to 512 x 512 px around the middle of (H, W) `positive`."""
    row, col = (_view_start(positive.sum(axis=axis)) for axis in (1, 0))
    return Window(row, col, VIEW_PX, VIEW_PX).intersect(grid.window)


def _view_start(along: NDArray[np.int64]) -> int:
    """First row (or column) of the view, from the number of pixels in each."""
    summed = np.cumsum(along)
    middle = int(np.searchsorted(summed, summed[-1] / 2)) if summed[-1] else len(along) // 2
    return max(0, min(middle - VIEW_PX // 2, len(along) - VIEW_PX))


def draw_site(folder: Path, maps: SiteMaps, truth: Truth, target: LegendClass, edge: int) -> list[Picture]:
    """Draw the paper's figures of one site as `<site>_*.png`.

    Args:
        folder: Where the PNG files go.
        maps: The site's maps.
        truth: The site's truth.
        target: The class that is shown.
        edge: Of the threshold of the fused map.

    Returns:
        Image and label, dilation, composite of dates, fused PMap, ground truth, errors; without the
        first where there is no image, without the second for a class of areas.
    """
    labels = truth.read_labels()
    split = next(name for name in SHOWN_FIRST if name in truth.splits)
    view = plan_view((labels == target.id) & truth.inside(split), truth.grid)
    shown = labels[view.slices]
    site = str(folder / truth.site)
    pictures = [
        _image_and_label(site, maps, truth, shown, view),
        _dilation(site, truth, target, labels, view),
        _composite(site, maps, target, view),
        *_fused_truth_errors(site, maps, target, shown, view, edge),
    ]
    return [picture for picture in pictures if picture is not None]


def _image_and_label(
    site: str, maps: SiteMaps, truth: Truth, labels: NDArray[np.uint8], view: Window
) -> Picture | None:
    if not truth.acquisitions:
        return None
    mapped = [a for a in truth.acquisitions if a.date in maps.dates]
    newest = (mapped or truth.acquisitions)[-1]
    around = view.coarser(maps.finer)
    image = rgb_view(read_image(newest, around), truth.bands)
    return draw_panels(
        f"{site}_image_label.png",
        {str(newest.date): image, "label": class_colours(labels, truth.legend)},
        "Image and label",
        f"The image of {newest.date}, its contrast stretched, and the label.",
        {**{c.name: c.rgb for c in truth.legend.classes}, "ignore": IGNORE_RGB},
        grid=truth.grid.crop(view),
    )


def _dilation(
    site: str, truth: Truth, target: LegendClass, labels: NDArray[np.uint8], view: Window
) -> Picture | None:
    lines = truth.centre_lines(target, labels)
    if lines is None:
        return None
    wide = (labels == target.id)[view.slices]
    source = "burnt one pixel wide" if truth.roads else "thinned from the label"
    return draw_panels(
        f"{site}_dilation.png",
        {"centre lines": _ink(lines[view.slices]), "label": _ink(wide)},
        "Dilation",
        f"The lines of class {target.name}, {source}, and the widened lines of the label.",
        grid=truth.grid.crop(view),
    )


def _composite(site: str, maps: SiteMaps, target: LegendClass, view: Window) -> Picture:
    around = view.coarser(maps.finer)
    with open_raster(maps.composite_path) as source:
        days = [str(text or "") for text in source.descriptions]
    colours = zip(("red", "green", "blue"), days, strict=False)
    shown = "; ".join(f"{colour}: {day}" for colour, day in colours)
    return draw_panels(
        f"{site}_composite.png",
        {"PMaps of the dates": np.moveaxis(read_bytes(maps.composite_path, around)[:3], 0, -1)},
        "Composite of the dates' PMaps",
        f"{shown}. White where all dates see {target.name}, a colour where one date differs.",
        grid=maps.grid.crop(view),
    )


def _fused_truth_errors(
    site: str, maps: SiteMaps, target: LegendClass, labels: NDArray[np.uint8], view: Window, edge: int
) -> list[Picture]:
    pmap, valid = read_pmap(maps.fused_path, view)
    score = class_score(pmap, target.id)

    figure, (axes,) = panels(1)
    seen = np.where(valid, score, np.nan)
    shown = axes.imshow(seen, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title("fused PMap", fontsize=9)
    axes.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.8, label=f"score of {target.name}")
    mark_place(axes, maps.grid.crop(view))
    fused = save_picture(
        figure,
        Path(f"{site}_fused.png"),
        "Fused PMap",
        f"The score of {target.name} by {FUSED_BY[maps.fusion]}; black 0, white 1.",
    )

    truth = _ink(labels == target.id)
    truth[labels == IGNORE] = IGNORE_RGB
    ground = draw_panels(
        f"{site}_truth.png",
        {"ground truth": truth},
        "Ground truth",
        f"The label of class {target.name}; grey is ignored.",
        grid=maps.grid.crop(view),
    )

    predicted = selected(score_bins(score), edge)
    errors = draw_panels(
        f"{site}_errors.png",
        {"errors": _errors(predicted, labels, target.id, valid)},
        "Errors",
        f"The fused map where the score is above {threshold(edge):.3f}, against the label: found "
        "(dark), invented (orange), missed (blue); grey is not scored.",
        {"found": RIGHT_RGB, "invented": INVENTED_RGB, "missed": MISSED_RGB},
        grid=maps.grid.crop(view),
    )
    return [fused, ground, errors]


def draw_panels(
    path: str,
    pictures: Mapping[str, NDArray[np.uint8]],
    title: str,
    caption: str,
    key: Mapping[str, RGB] | None = None,
    *,
    grid: Grid,
) -> Picture:
    """Write pictures of a grid side by side, each under its name, with the key of colours below."""
    figure, axes = panels(len(pictures))
    for panel, (name, picture) in zip(axes, pictures.items(), strict=True):
        show(panel, picture, name)
        mark_place(panel, grid)
    if key:
        _draw_key(figure, key)
    return replace(save_picture(figure, Path(path), title, caption), panels=len(pictures))


def _errors(
    predicted: NDArray[np.bool_], labels: NDArray[np.uint8], class_id: int, valid: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    true = labels == class_id
    picture = np.full((*labels.shape, 3), 255, np.uint8)
    picture[predicted & true] = RIGHT_RGB
    picture[predicted & ~true] = INVENTED_RGB
    picture[~predicted & true] = MISSED_RGB
    picture[(labels == IGNORE) | ~valid] = IGNORE_RGB
    return picture


def draw_curves(path: Path, counts: Mapping[str, NDArray[np.int64]], title: str, class_name: str) -> Picture:
    """Draw precision against recall, and what the score says against what is true.

    Args:
        path: The PNG.
        counts: Name of a model -> (2, `BINS`) pixels by truth and bin.
        title: What was scored.
        class_name: The class.
    """
    figure, (left, right) = panels(2)
    figure.subplots_adjust(left=0.07, right=0.98, top=0.97, bottom=0.12, wspace=0.2)
    for (name, table), colour in zip(counts.items(), cycle(LINE_COLORS), strict=False):
        precise, recalled = precision_recall_curve(table)
        left.plot(recalled, precise, color=colour, label=name, linewidth=1.2)
        score, true, pixels = calibration_curve(table)
        some = pixels > 0
        right.plot(score[some], true[some], color=colour, marker=".", linewidth=1.0)
    negative, positive = next(iter(counts.values())).sum(axis=1)
    left.axhline(positive / (negative + positive), color="#888888", linestyle=":", label="chance")
    right.plot([0, 1], [0, 1], color="#888888", linestyle=":")
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    right.set(xlabel="mean score", ylabel=f"share of {class_name}", xlim=(0, 1), ylim=(0, 1))
    left.legend(fontsize=7)
    return save_picture(
        figure,
        path,
        title,
        f"Left: precision against recall; the dotted line is the share of {class_name}, which any "
        "map gets by chance. Right: what is true against what the score says; on the dotted "
        "diagonal a score is a probability.",
    )


def rgb_view(image: NDArray[np.uint8] | NDArray[np.uint16], bands: Sequence[str]) -> NDArray[np.uint8]:
    """(C, h, w) digital numbers -> (h, w, 3) with the middle 96 % of the values spread out."""
    names = [name for name in TCI_BANDS if name in bands]
    pick = [bands.index(name) for name in TCI_BANDS] if len(names) == 3 else [0, 0, 0]
    valid = valid_mask(image)
    result = np.zeros((*valid.shape, 3), np.uint8)
    if not valid.any():
        return result
    for at, band in enumerate(pick):
        low, high = np.percentile(image[band][valid], [2, 98])
        spread = (image[band].astype(np.float64) - low) / max(high - low, 1.0)
        result[..., at] = np.where(valid, np.clip(spread, 0, 1) * 255, NODATA)
    return result


def class_colours(labels: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    """(h, w) class ids -> (h, w, 3) in the legend's colours; *ignore* is grey."""
    table = np.full((256, 3), IGNORE_RGB, np.uint8)
    for c in legend.classes:
        table[c.id] = c.rgb
    return table[labels]


def _ink(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(h, w) bool -> (h, w, 3): True black on white."""
    picture = np.full((*mask.shape, 3), 255, np.uint8)
    picture[mask] = 0
    return picture


def panels(number: int) -> tuple["Figure", Sequence["Axes"]]:
    """A figure with `number` panels side by side."""
    # The object interface, not pyplot: no window system, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_INCHES * number, _INCHES))
    axes = figure.subplots(1, number, squeeze=False)
    figure.subplots_adjust(left=0.02, right=0.98, top=0.93, bottom=0.07, wspace=0.04)
    return figure, list(axes[0])


def show(axes: "Axes", picture: NDArray[np.uint8], title: str) -> None:
    """Show a picture (h, w, 3), a dot a pixel, without axes."""
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def mark_place(axes: "Axes", grid: Grid) -> None:
    """Draw a scale bar, and write the place of the middle, on a picture of a grid."""
    width_m = pixel_m(grid)[1] * grid.width
    power = 10.0 ** math.floor(math.log10(width_m / 3))
    length_m = max(step * power for step in (1, 2, 5) if step * power <= width_m / 3)
    west, south, east, north = grid.lonlat_bounds
    paper = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    ends = [0.03, 0.03 + length_m / width_m]
    for color, thick in (("white", 5), ("black", 2)):
        axes.plot(ends, [0.03, 0.03], transform=axes.transAxes, color=color, linewidth=thick)
    length = f"{length_m / 1e3:g} km" if length_m >= 1e3 else f"{length_m:g} m"
    axes.text(0.03, 0.06, length, transform=axes.transAxes, fontsize=7, bbox=paper)
    middle = place_text((south + north) / 2, (west + east) / 2)
    axes.text(0.97, 0.03, middle, transform=axes.transAxes, fontsize=7, ha="right", bbox=paper)


def _draw_key(figure: "Figure", key: Mapping[str, RGB]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor="#{:02x}{:02x}{:02x}".format(*rgb), edgecolor="#888888", label=name)
        for name, rgb in key.items()
    ]
    figure.legend(handles=patches, fontsize=7, loc="lower center", ncols=len(patches), frameon=False)


def save_picture(figure: "Figure", path: Path, title: str, caption: str) -> Picture:
    """Write a figure as PNG."""
    # Without the program's name and address in the file, equal figures are equal files.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return Picture(path, title, caption)

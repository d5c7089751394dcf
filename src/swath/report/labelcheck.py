"""What `swath labels check` leaves: check.json and a picture of every site."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas
import numpy as np
from numpy.typing import NDArray

from swath.audit.check import check_json
from swath.audit.quality import SiteCheck
from swath.audit.shift import SEARCH_PX
from swath.audit.view import plan_view, read_outlines
from swath.dataset.site import Dataset, read_image, read_labels
from swath.extras import need_extras
from swath.files import write_json
from swath.grid import Grid, Window
from swath.outfolder import Kind, replacing_folder
from swath.report.figures import class_colours, panels, rgb_view, save_picture, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AS_MAPPED, AS_SHOWN = "#e6194b", "#00e5ff"
"""Colours of the lines as they are, and as they would be after the correction."""


def write_check(
    dataset: Dataset, checks: Sequence[SiteCheck], out: Path, *, overwrite: bool = False
) -> dict[str, Path]:
    """Write `check.json` and `<site>.png` under `out`, whole or not at all.

    Returns:
        The picture of each site, by its name.

    Raises:
        OutputExistsError: `out` exists and `overwrite` is False.
        MissingExtraError: The extra `report` is not installed.
        InputError: A file of the dataset cannot be read.
    """
    need_extras("a picture of each site", "report")
    with replacing_folder(out, Kind.LABEL_CHECK, [dataset.root], overwrite=overwrite) as folder:
        for check in checks:
            _draw(folder / f"{check.site.name}.png", dataset, check)
        write_json(folder / "check.json", check_json(checks))
    return {check.site.name: out / f"{check.site.name}.png" for check in checks}


def _draw(path: Path, dataset: Dataset, check: SiteCheck) -> None:
    """The newest image with the lines, the labels, and the correlation over lags."""
    site = check.site
    view = plan_view(site)
    newest = site.acquisitions[-1]
    figure, (left, middle, right) = panels(3)
    show(left, rgb_view(read_image(newest, view), dataset.image.bands), f"{newest.date}")
    _draw_lines(left, dataset, check, view)
    show(middle, class_colours(read_labels(site, view.finer(site.finer)), dataset.legend), "labels")
    _draw_correlation(right, check)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.9, bottom=0.12, wspace=0.08)
    looks = "; ".join(check.warnings) or ("looks well" if check.compared else "not checked")
    figure.suptitle(f"{site.name}: {looks}", fontsize=8, x=0.01, ha="left")
    save_picture(figure, path, site.name, looks)


def _draw_lines(axes: "Axes", dataset: Dataset, check: SiteCheck, view: Window) -> None:
    lines = read_outlines(check.site, dataset.legend)
    if lines is None:
        return
    grid = check.site.grid.crop(view)
    left, bottom, right, top = grid.bounds
    near = lines.cx[left:right, bottom:top]
    shift = check.shift
    moves = [(0.0, 0.0, AS_MAPPED, "as mapped")]
    if shift is not None and check.misaligned:
        moves.append((shift.east, shift.south, AS_SHOWN, "moved"))
    for east, south, color, name in moves:
        for at, (cols, rows) in enumerate(_vertices(near, grid)):
            label = name if at == 0 else None
            axes.plot(cols + east, rows + south, color=color, linewidth=0.6, label=label)
    axes.set(xlim=(-0.5, view.width - 0.5), ylim=(view.height - 0.5, -0.5))
    if len(near):
        axes.legend(fontsize=7, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0.0))


def _vertices(
    lines: geopandas.GeoSeries, grid: Grid
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Columns and rows of the vertices of each line; a pixel's centre has whole numbers."""
    t = grid.transform
    for line in lines.explode(index_parts=False):
        xs, ys = np.asarray(line.coords)[:, :2].T
        yield (xs - t.c) / t.a - 0.5, (ys - t.f) / t.e - 0.5


def _draw_correlation(axes: "Axes", check: SiteCheck) -> None:
    axes.set_title("correlation, labels moved by", fontsize=9)
    if check.correlation is None:
        axes.set_axis_off()
        return
    edge = SEARCH_PX + 0.5
    axes.imshow(check.correlation, cmap="gray", extent=(-edge, edge, edge, -edge))
    axes.axhline(0, color="#888888", linewidth=0.5)
    axes.axvline(0, color="#888888", linewidth=0.5)
    for shift in check.by_date:
        if shift is not None:
            axes.plot(shift.east, shift.south, "+", color="#e69f00", markersize=6)
    if (shift := check.shift) is not None:
        axes.plot(*shift.ellipse, color=AS_SHOWN, linewidth=1.0)
    axes.set_xlabel("px east; + one date, ring: 95 % of their mean", fontsize=7)
    axes.set_ylabel("px south", fontsize=7)
    axes.tick_params(labelsize=6)

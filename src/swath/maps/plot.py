"""Maps as plots with coordinates and a colour bar, for notebooks."""

import datetime as dt
from typing import TYPE_CHECKING

from swath.extras import optional_import
from swath.maps.sitemaps import SiteMaps
from swath.maps.styles import RAMP

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_pmap(maps: SiteMaps, date: dt.date | str | None = None, axes: "Axes | None" = None) -> "Axes":
    """Plot the probability of the first class of interest; see `swath.Maps.plot`."""
    with optional_import("plot", "report"):
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.figure import Figure
    target = maps.legend.foreground[0]
    if axes is None:
        axes = Figure(figsize=(7, 6), layout="constrained").add_subplot()
    left, bottom, right, top = maps.grid.bounds
    shown = axes.imshow(
        maps.pmap(date)[target.id],
        cmap=LinearSegmentedColormap.from_list("swath", list(RAMP)),
        vmin=0,
        vmax=1,
        extent=(left, right, bottom, top),
        interpolation="nearest",
    )
    axes.set(title=f"{maps.site}, {date or 'all dates'}", xlabel="east (m)", ylabel="north (m)")
    axes.ticklabel_format(style="plain", useOffset=False)
    axes.figure.colorbar(shown, ax=axes, shrink=0.8, label=f"probability of {target.name}")
    return axes

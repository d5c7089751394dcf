"""The MAPS folder as a value: the maps of its sites by name."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from swath.errors import DatasetError
from swath.grid import Grid
from swath.legend import Legend
from swath.maps.sitemaps import Masked, SiteMaps, read_maps
from swath.picture import card, thumbnail

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from matplotlib.axes import Axes

MOST_PICTURES = 12
"""Sites that a notebook shows pictures of."""


class NoSuchSiteError(DatasetError, KeyError):
    """There are no maps of a site of that name; a `KeyError` too, as mappings must raise."""

    __str__ = Exception.__str__


class Maps(Mapping[str, SiteMaps]):
    """The maps of one or several sites, by name.

    Where there is one site only, its arrays, roads and facts can be asked of this as well; `only` is
    that site. They are explained at `SiteMaps`.

    Args:
        folder: MAPS.
        sites: What is in it.
        keeper: What the maps keep alive: a temporary folder, say, that they lie in.

    Example:
        >>> import swath
        >>> maps = swath.open_maps("maps")
        >>> list(maps), maps["town"].dates == maps.dates
        (['town'], True)
        >>> maps
        Maps(maps: town)
    """

    def __init__(self, folder: Path, sites: Sequence[SiteMaps], keeper: object = None) -> None:
        self.folder = folder
        self.keeper = keeper
        kept = sites if keeper is None else [maps.kept_by(keeper) for maps in sites]
        self._sites = {maps.site: maps for maps in kept}
        self._names = ", ".join(self._sites)

    def __getitem__(self, site: str) -> SiteMaps:
        """The maps of a site; `NoSuchSiteError` if there are none."""
        if site not in self._sites:
            raise NoSuchSiteError(f"{self.folder} has no maps of {site!r}; it has {self._names}")
        return self._sites[site]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    @property
    def only(self) -> SiteMaps:
        """The maps of the one site; `DatasetError` if there are several."""
        if len(self) > 1:
            raise DatasetError(
                f"{self.folder} has maps of several sites, {self._names}; choose one by its name: "
                f"maps[{next(iter(self))!r}]"
            )
        return next(iter(self._sites.values()))

    @property
    def grid(self) -> Grid:
        """Where the maps of the one site lie."""
        return self.only.grid

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """The dates that the one site's maps are fused from, oldest first."""
        return self.only.dates

    @property
    def legend(self) -> Legend:
        """The classes of the one site's maps."""
        return self.only.legend

    @property
    def threshold(self) -> float | None:
        """Of the class map of the one site; None with more than two classes."""
        return self.only.threshold

    def pmap(self, date: dt.date | str | None = None) -> Masked:
        """(lc, H, W) float32 probabilities 0..1 of the one site, of a date or fused, masked."""
        return self.only.pmap(date)

    def classes(self) -> NDArray[np.uint8]:
        """(H, W) uint8 class ids of the one site; 255 = no data."""
        return self.only.classes()

    def roads(self) -> "gpd.GeoDataFrame":
        """The classes of lines of the one site as vectors."""
        return self.only.roads()

    def plot(self, date: dt.date | str | None = None, axes: "Axes | None" = None) -> "Axes":
        """Plot the probability of the first class of interest of the one site, in its coordinates.

        Args:
            date: Of which date; None: all dates fused.
            axes: Of Matplotlib, to plot on; None: a figure of its own, `plot().figure`.

        Raises:
            DatasetError: Several sites, or none of that date.
            MissingExtraError: Matplotlib is not installed.

        Example:
            >>> import swath
            >>> swath.open_maps("maps").plot().get_title()
            'town, all dates'
        """
        from swath.maps.plot import plot_pmap

        return plot_pmap(self.only, date, axes)

    def landcover(self) -> "gpd.GeoDataFrame":
        """The classes of the one site as polygons that cover it."""
        return self.only.landcover()

    def to_xarray(self) -> "xr.Dataset":
        """All arrays of the one site with their coordinates."""
        return self.only.to_xarray()

    def __repr__(self) -> str:
        """The folder and its sites."""
        return f"Maps({self.folder}: {self._names})"

    def _repr_html_(self) -> str:
        """The same with pictures, for notebooks."""
        if len(self) == 1:
            return self.only._repr_html_()
        cards = [
            card(maps.site, {"dates": ", ".join(map(str, maps.dates))}, thumbnail(path))
            for maps in list(self._sites.values())[:MOST_PICTURES]
            for path in [maps.composite_path]
        ]
        return card(f"Maps in {self.folder}", {"sites": self._names}) + "".join(cards)


def open_maps(folder: Path | str) -> Maps:
    """Open what mapping left in a folder.

    Args:
        folder: MAPS, the `out` of `map_scenes` or of `swath map`.

    Raises:
        DatasetError: No maps there, an item that breaks the contract, or a raster is missing.

    Example:
        >>> import swath
        >>> maps = swath.open_maps("maps")
        >>> road = maps.pmap()[1]
        >>> bool(0 <= road.min() <= road.max() <= 1), maps.roads().crs == maps.grid.crs
        (True, True)
    """
    home = Path(folder)
    return Maps(home, read_maps(home))

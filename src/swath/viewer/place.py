"""What the page shows: the sites of MAPS folders with their layers and overlays, and scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from pyproj import CRS

from swath.errors import DatasetError
from swath.maps.sitemaps import FUSED_BY, SiteMaps, read_maps
from swath.progress import tell
from swath.viewer.layer import Layer, change_days, day_label, read_layers
from swath.viewer.overlay import Overlay, site_overlays, vector_files
from swath.viewer.scores import ERRORS, REPORT, ScoreTable, read_scores


@dataclass(frozen=True, slots=True)
class Place:
    """One site as the page shows it.

    Attributes:
        name: Its own; that of its MAPS folder before it, where two folders have a site of that name.
        maps: Its maps.
        layers: Its rasters.
        overlays: Its vectors.
    """

    name: str
    maps: SiteMaps
    layers: tuple[Layer, ...]
    overlays: tuple[Overlay, ...]

    def fields(self) -> dict[str, JsonValue]:
        """As the page's content has it, without pixels and features."""
        maps, grid = self.maps, self.maps.grid
        system = CRS.from_user_input(grid.crs)
        foreground = {c.id for c in maps.legend.tagged}
        classes: list[JsonValue] = [
            {
                "id": c.id,
                "name": c.name,
                "color": "#{:02x}{:02x}{:02x}".format(*c.rgb),
                "foreground": c.id in foreground,
            }
            for c in maps.legend.classes
        ]
        return {
            "name": self.name,
            "title": _title(self.name),
            "crs": grid.crs if len(grid.crs) < 20 else f"swath:{self.name}",
            "wkt": system.to_wkt("WKT1_GDAL"),
            "units": "degrees" if system.is_geographic else "m",
            "bounds": list(grid.bounds),
            "dates": [str(date) for date in maps.all_dates],
            "classes": classes,
            "fusion": FUSED_BY[maps.fusion],
            "threshold": maps.threshold,
            "attribution": maps.attribution,
        }


def _title(name: str) -> str:
    """A site's name as people write it: `san_antonio` becomes San antonio, `T31UDQ` stays."""
    words = name.replace("_", " ").replace("/", " · ")
    return words[:1].upper() + words[1:]


@dataclass(frozen=True, slots=True)
class Exhibition:
    """All that a page shows.

    Attributes:
        places: The sites.
        scores: Tables of reports.
    """

    places: tuple[Place, ...]
    scores: tuple[ScoreTable, ...]

    @property
    def title(self) -> str:
        """What the page is called."""
        return " · ".join(place.name for place in self.places[:3]) + " · swath"


def read_exhibition(folders: Sequence[Path], beside: Sequence[Path] = ()) -> Exhibition:
    """Read what a page of MAPS folders shows.

    Args:
        folders: MAPS.
        beside: What else: vector files, folders with vector files, or reports of `swath evaluate`.

    Raises:
        DatasetError: A folder without maps.
        InputError: A file that cannot be read, or shows nothing.
    """
    reports = [path for path in beside if (path / REPORT).is_file()]
    errors = [file for path in reports for file in sorted((path / ERRORS).glob("*.gpkg"))]
    vectors = [*errors, *(file for path in beside if path not in reports for file in vector_files(path))]
    named: dict[str, SiteMaps] = {}
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise DatasetError("the same maps are given twice")
    for folder in folders:
        for maps in read_maps(folder):
            name = maps.site if maps.site not in named else f"{folder.name}/{maps.site}"
            if name in named:
                raise DatasetError(f"two folders {folder.name} hold maps of {maps.site}; rename one")
            named[name] = maps
    places = tuple(
        Place(name, maps, read_layers(maps), site_overlays(maps, vectors)) for name, maps in named.items()
    )
    shown = {overlay.path for place in places for overlay in place.overlays}
    for path in vectors:
        if path not in shown:
            tell(f"{path}: it has no feature in the maps, and is not shown")
    return Exhibition(places, tuple(table for path in reports for table in read_scores(path)))


def dates_of(layer: Layer) -> dict[str, JsonValue]:
    """What a layer of dates adds to its fields: the values, and what they are called."""
    if layer.kind != "dates":
        return {}
    days = change_days(layer)
    return {"values": list(days), "labels": [day_label(day) for day in days]}

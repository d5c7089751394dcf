"""The real crop that comes with swath: two dates of a part of Rennes, and its OpenStreetMap lines."""

from dataclasses import dataclass
from pathlib import Path

from swath.sites.schema import read_sites_file

CROP = Path(__file__).parent.parent / "crop"
"""Its folder; the README.md there says where it comes from, what one may do with it, and what it shows."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A real place as files, small enough to come with the program; `swath.open_crop` gives the one there is.

    Example:
        >>> import swath
        >>> town = swath.open_crop()
        >>> town.name, town.roads.name
        ('rennes', 'roads.geojson')

    Attributes:
        name: Of the place.
        scenes: GeoTIFFs, a date each, oldest first: B02, B03, B04, B08, reflectance x 10,000, 0 = no data.
        roads: OpenStreetMap's lines there, GeoJSON.
        sites_file: The place as `swath.build` reads it: two dates, labels, three regions with a split each.
        attribution: What to name wherever the pixels or the lines are shown.
    """

    name: str
    scenes: tuple[Path, ...]
    roads: Path
    sites_file: Path
    attribution: str


def open_crop() -> Crop:
    """The real crop that comes with swath: to try it out, offline.

    `swath.map_scenes(town.scenes)` maps it. The starter weights learnt from this place: their map of it
    shows what swath gives, not how good it is elsewhere.

    Example:
        >>> import swath
        >>> town = swath.open_crop()
        >>> [path.name for path in town.scenes]
        ['2015-08-21.tif', '2017-06-21.tif']
        >>> dataset = swath.build(town.sites_file, "crop-dataset")
        >>> dataset.sites[0].splits
        ('train', 'validation', 'test')
    """
    sites_file = CROP / "sites.yaml"
    settings = read_sites_file(sites_file)
    ((name, site),) = settings.sites.items()
    assert site.labels is not None
    assert site.labels.path is not None
    scenes = tuple(CROP / scene.path for scene in site.scenes)
    return Crop(name, scenes, CROP / site.labels.path, sites_file, settings.attribution)

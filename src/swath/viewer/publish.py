"""What is written beside maps once they are made: pictures of their images, and the page."""

from pathlib import Path

from swath.mapping.request import Request
from swath.mapping.sources import Series
from swath.maps.project import write_project
from swath.maps.sitemaps import read_maps
from swath.maps.styles import write_styles
from swath.models.spec import ModelSpec
from swath.viewer.images import write_images
from swath.viewer.page import write_page

PAGE_NAME = "index.html"


def publish(out: Path, request: Request, spec: ModelSpec) -> Path:
    """Write the pictures of the images that were asked for, and the page of all sites of MAPS.

    Args:
        out: MAPS.
        request: What was mapped.
        spec: Of the model.

    Returns:
        The page, `out`/index.html.
    """
    with request.series(spec) as mapped:
        return publish_series(out, mapped, spec)


def publish_series(out: Path, mapped: tuple[Series, ...], spec: ModelSpec) -> Path:
    """The same for series that are open."""
    sites = {maps.site: maps for maps in read_maps(out)}
    for series in mapped:
        maps = sites[series.site]
        write_images(maps, series, spec)
        write_styles(maps)
        write_project(maps)
    return write_page([out], out / PAGE_NAME, overwrite=True)

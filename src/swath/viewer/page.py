"""The page as HTML: one file that needs nothing else, live or with all that it shows inside."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from pydantic import JsonValue

from swath.errors import SettingsError
from swath.files import write_text
from swath.grid import Grid
from swath.maps.styles import DATE_RAMP, LINE_RAMP, RAMP
from swath.outfolder import making_file
from swath.progress import track
from swath.viewer.overlay import Overlay, geojson
from swath.viewer.pictures import embed, plan_factors
from swath.viewer.place import Exhibition, Place, read_exhibition

SCRIPTS = (
    *("vendor", "raster", "colour", "state", "chart", "vectors"),
    *("map", "review", "panel", "table", "facts", "swipe", "app"),
)
"""Scripts of the page in their order: each may use what stands before it."""

STYLES = ("vendor", "page")

RASTER_BYTES = 10_000_000
"""What all pictures of a page may take; with its scripts and lines it stays below 15 MB."""

MOST_LINES = 12_000
"""Features of an overlay that a page holds: the first of a list, else the longest."""

_OFFLINE = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src {}; base-uri 'none'; form-action 'none'"
)


def render(title: str, content: dict[str, JsonValue], *, live: bool) -> str:
    """The page of some content, see `embedded_content`; live: what it may ask its server for."""
    web = files("swath.viewer") / "web"

    def read(name: str) -> str:
        return (web / name).read_text("utf-8")

    # "<" ends a script early, wherever it stands.
    text = json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    scripts = (read(f"{name}.js").replace("</script", "<\\/script") for name in SCRIPTS)
    return Template(read("page.html")).substitute(
        title=title.replace("&", "&amp;").replace("<", "&lt;"),
        policy=_OFFLINE.format("'self'" if live else "'none'"),
        styles="\n".join(read(f"{name}.css") for name in STYLES),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        content=text,
    )


def write_page(
    folders: Sequence[Path], out: Path, beside: Sequence[Path] = (), *, overwrite: bool = False
) -> Path:
    """Write the page of MAPS folders as one file that opens by a double click.

    Args:
        folders: MAPS.
        out: The page, `*.html`.
        beside: As `swath.viewer.place.read_exhibition` takes it.
        overwrite: Whether an existing file may be replaced.

    Raises:
        SettingsError: `out` is named otherwise.
        OutputExistsError: `out` exists, and `overwrite` is False or swath did not make it.
        DatasetError, InputError: As of `read_exhibition`.
    """
    if out.suffix.lower() != ".html":
        raise SettingsError(f"{out}: a page is HTML; name it *.html")
    shown = read_exhibition(folders, beside)
    reads = [place.maps.folder for place in shown.places]
    with making_file(out, [*reads, *beside], overwrite=overwrite):
        write_text(out, render(shown.title, embedded_content(shown), live=False))
    return out


def embedded_content(shown: Exhibition) -> dict[str, JsonValue]:
    """All that the page shows, pixels and features included."""
    layers = [layer for place in shown.places for layer in place.layers]
    factors = iter(plan_factors(layers, RASTER_BYTES))
    sites = [
        _embedded(place, [next(factors) for _ in place.layers])
        for place in track(shown.places, "drawing the page")
    ]
    return page_content(shown, sites, live=False)


def page_content(
    shown: Exhibition, sites: Sequence[dict[str, JsonValue]], *, live: bool, **more: JsonValue
) -> dict[str, JsonValue]:
    """The page's content around that of its sites."""
    scores: list[JsonValue] = [table.fields() for table in shown.scores]
    ramps: JsonValue = {"probability": list(RAMP), "lines": list(LINE_RAMP), "dates": list(DATE_RAMP)}
    return {"live": live, "sites": list(sites), "scores": scores, "ramps": ramps, **more}


def _embedded(place: Place, factors: Sequence[int]) -> dict[str, JsonValue]:
    pairs = zip(place.layers, factors, strict=True)
    layers: list[JsonValue] = [embed(layer, factor) for layer, factor in pairs]
    overlays: list[JsonValue] = [_features(overlay, place.maps.grid) for overlay in place.overlays]
    return {**place.fields(), "layers": layers, "overlays": overlays}


def _features(overlay: Overlay, grid: Grid) -> dict[str, JsonValue]:
    frame = overlay.read(grid)
    fields = overlay.fields()
    if len(frame) > MOST_LINES:
        longest = frame.geometry.length.nlargest(MOST_LINES).index
        fields["title"] = f"{overlay.title} (the longest {MOST_LINES:,} of {len(frame):,})"
        frame = frame.loc[longest]
    step = grid.resolution[0] / 20
    frame = frame.set_geometry(frame.geometry.simplify(step))
    return {**fields, "count": len(frame), "geojson": geojson(frame, step)}

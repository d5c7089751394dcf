"""How QGIS shows maps: `.qml` files beside the rasters, and the styles inside the GeoPackage."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pyogrio
from pyogrio.errors import DataSourceError

from swath.errors import InputError, reason_of
from swath.legend import Legend, LegendClass
from swath.maps.images import image_paths
from swath.maps.sitemaps import SiteMaps
from swath.picture import hex_color, ramp_color
from swath.scenes.raster import open_raster

RAMP = ("#08061a", "#2a0a5a", "#5d126e", "#932667", "#c83f4b", "#ee6a24", "#fca50a", "#fbe45c", "#fcffd4")
"""Probabilities 0..1: even in lightness, so told apart with any colour vision, and in grey."""

LINE_RAMP = ("#7d5bd6", "#c9479c", "#f2603f", "#ffa62b", "#ffe34d")
"""Probabilities of lines: light where they are sure, as `RAMP`, but seen on any ground."""

DATE_RAMP = ("#35b3ff", "#3ddc97", "#ffd23f", "#ff7d3c", "#f23f7f")
"""From the first day to the last."""

EPOCH = dt.date(1970, 1, 1)
"""Days of changes are counted from here."""

QGIS_VERSION = "3.22.0"
"""The oldest that reads these files as they are meant."""

STEPS = 5
"""Groups of lines by probability."""

STYLES_TABLE = "layer_styles"
"""The table of a GeoPackage where QGIS looks for styles."""

STYLE_COLUMNS = (
    "f_table_catalog",
    "f_table_schema",
    "f_table_name",
    "f_geometry_column",
    "styleName",
    "styleQML",
    "styleSLD",
    "useAsDefault",
    "description",
    "owner",
    "ui",
    "update_time",
)
"""Of `STYLES_TABLE`."""


def raster_style(path: Path, maps: SiteMaps) -> ET.Element:
    """The `pipe` of a raster of a site, by its name: how QGIS colours its numbers."""
    legend = maps.legend
    pipe = ET.Element("pipe")
    name = path.stem
    if name == "classes":
        renderer = _renderer(pipe, "paletted", band="1")
        palette = ET.SubElement(renderer, "colorPalette")
        shown = {c.id for c in legend.tagged}
        for c in legend.classes:
            alpha = "255" if c.id in shown else "0"
            entry = {"value": str(c.id), "color": hex_color(c.rgb), "label": c.name, "alpha": alpha}
            ET.SubElement(palette, "paletteEntry", entry)
    elif name.startswith("pmap"):
        band, top = _probability(path, legend.foreground[0])
        _shaded(pipe, band, 0.0, top, RAMP)
    elif name == "changes":
        days = [(change.date - EPOCH).days for change in maps.changes]
        first, last = min(days), max(days)
        _shaded(pipe, 1, first, max(last, first + 1), DATE_RAMP)
    else:
        _renderer(pipe, "multibandcolor", redBand="1", greenBand="2", blueBand="3")
    ET.SubElement(pipe, "rasterresampler", zoomedInResampler="nearest neighbour", maxOversampling="2")
    return pipe


def vector_layers(folder: Path) -> list[tuple[Path, str]]:
    """The files and layers of MAPS/<site> that hold the map as lines or areas.

    Raises:
        InputError: A file cannot be read.
    """
    found = []
    for path in (folder / "roads.gpkg", folder / "landcover.gpkg"):
        try:
            layers = pyogrio.list_layers(path) if path.is_file() else ()
        except DataSourceError as error:
            raise InputError(f"{path}: not readable ({reason_of(error)}); map the site again") from None
        found += [(path, name) for name, kind in layers if kind is not None and "Point" not in kind]
    return found


def vector_style(package: Path, layer: str, legend: Legend) -> ET.Element:
    """The `renderer-v2` of a layer: lines coloured by their probability, areas by their class."""
    facts = pyogrio.read_info(package, layer=layer)
    if "Line" in facts["geometry_type"]:
        return _by_probability("p_mean")
    return _by_class(legend)


def _by_probability(column: str) -> ET.Element:
    facts = {"type": "graduatedSymbol", "attr": column, "graduatedMethod": "GraduatedColor"}
    renderer = ET.Element("renderer-v2", facts | {"symbollevels": "0", "forceraster": "0"})
    ranges, symbols = ET.SubElement(renderer, "ranges"), ET.SubElement(renderer, "symbols")
    for step in range(STEPS):
        low, high = step / STEPS, (step + 1) / STEPS
        fields = {"symbol": str(step), "label": f"{low:.1f} to {high:.1f}", "render": "true"}
        ET.SubElement(ranges, "range", {"lower": f"{low:.6f}", "upper": f"{high:.6f}", **fields})
        _symbol(symbols, step, line=True, color=ramp_color(LINE_RAMP, step / (STEPS - 1)))
    return renderer


def _by_class(legend: Legend) -> ET.Element:
    renderer = ET.Element("renderer-v2", {"type": "categorizedSymbol", "attr": "class"})
    categories, symbols = (ET.SubElement(renderer, name) for name in ("categories", "symbols"))
    for c in legend.tagged:
        shown = {"symbol": str(c.id), "value": c.name, "label": c.name, "render": "true", "type": "string"}
        ET.SubElement(categories, "category", shown)
        _symbol(symbols, c.id, line=False, color=c.rgb)
    return renderer


def style_files(maps: SiteMaps) -> dict[str, bytes]:
    """Names and bytes of the `.qml` files beside the rasters of a site."""
    paths = (*maps.raster_paths, *image_paths(maps).values())
    return {path.with_suffix(".qml").name: _qml(raster_style(path, maps)) for path in paths}


def write_layer_styles(package: Path, layers: Sequence[str], legend: Legend, day: dt.date) -> None:
    """Write the styles of a GeoPackage's layers into it, as QGIS keeps its own.

    Args:
        package: The GeoPackage.
        layers: Those that get a style.
        legend: Of the classes.
        day: When the styles are said to have been made.
    """
    rows = [
        {
            **dict.fromkeys(STYLE_COLUMNS, ""),
            "f_table_name": layer,
            "f_geometry_column": pyogrio.read_info(package, layer=layer)["geometry_name"],
            "styleName": "swath",
            "styleQML": _qml(vector_style(package, layer, legend)).decode(),
            "useAsDefault": True,
            "update_time": f"{day}T00:00:00.000Z",
        }
        for layer in layers
    ]
    pyogrio.write_dataframe(pd.DataFrame(rows), package, layer=STYLES_TABLE, driver="GPKG", append=True)


def _probability(path: Path, c: LegendClass) -> tuple[int, float]:
    """The band of a class, and the number that QGIS reads where the probability is 1."""
    with open_raster(path) as source:
        band = source.descriptions.index(c.name) + 1
        scale = source.scales[band - 1]
    return band, 1.0 if scale != 1 else 254.0


def _renderer(pipe: ET.Element, kind: str, **bands: str) -> ET.Element:
    return ET.SubElement(pipe, "rasterrenderer", {"type": kind, "opacity": "1", "alphaBand": "-1", **bands})


def _shaded(pipe: ET.Element, band: int, low: float, high: float, ramp: Sequence[str]) -> None:
    ends = {"classificationMin": f"{low:g}", "classificationMax": f"{high:g}"}
    renderer = _renderer(pipe, "singlebandpseudocolor", band=str(band), **ends)
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        {
            "colorRampType": "INTERPOLATED",
            "classificationMode": "1",
            "clip": "0",
            "minimumValue": f"{low:g}",
            "maximumValue": f"{high:g}",
        },
    )
    for at, color in enumerate(ramp):
        value = f"{low + (high - low) * at / (len(ramp) - 1):.6g}"
        ET.SubElement(shader, "item", {"value": value, "color": color, "label": value, "alpha": "255"})


def _symbol(symbols: ET.Element, number: int, *, line: bool, color: tuple[int, int, int]) -> None:
    kind, layer = ("line", "SimpleLine") if line else ("fill", "SimpleFill")
    symbol = ET.SubElement(symbols, "symbol", {"type": kind, "name": str(number), "alpha": "1"})
    rgba = ",".join(map(str, (*color, 255)))
    options = {"line_color": rgba, "line_width": "0.5", "capstyle": "round", "joinstyle": "round"}
    if not line:
        options = {"color": rgba, "outline_style": "no"}
    made = ET.SubElement(symbol, "layer", {"class": layer, "enabled": "1", "locked": "0", "pass": "0"})
    box = ET.SubElement(made, "Option", {"type": "Map"})
    for name, value in options.items():
        ET.SubElement(box, "Option", {"name": name, "value": value, "type": "QString"})


def _qml(style: ET.Element) -> bytes:
    root = ET.Element("qgis", {"version": QGIS_VERSION, "styleCategories": "Symbology"})
    root.append(style)
    ET.indent(root)
    head = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    body: bytes = ET.tostring(root, encoding="utf-8")
    return head + body

"""How QGIS shows land cover: every class in the legend's colour, kept inside the GeoPackage."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pyogrio

from swath.legend import LegendClass

STYLES = "layer_styles"
"""The table of a GeoPackage where QGIS looks for styles."""

_EMPTY = ("f_table_catalog", "f_table_schema", "styleSLD", "owner", "ui")
"""Columns of it that QGIS expects and that say nothing here."""


def class_style(classes: Sequence[LegendClass]) -> bytes:
    """A style file (.qml): polygons in the colours of their column `class`."""
    root = ET.Element("qgis", {"version": "3.22.0", "styleCategories": "Symbology"})
    renderer = ET.SubElement(root, "renderer-v2", {"type": "categorizedSymbol", "attr": "class"})
    categories, symbols = (ET.SubElement(renderer, name) for name in ("categories", "symbols"))
    for c in classes:
        shown = {"symbol": str(c.id), "value": c.name, "label": c.name, "render": "true", "type": "string"}
        ET.SubElement(categories, "category", shown)
        symbol = ET.SubElement(symbols, "symbol", {"type": "fill", "name": str(c.id), "alpha": "1"})
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0"})
        options = ET.SubElement(layer, "Option", {"type": "Map"})
        colour = ",".join(map(str, (*c.rgb, 255)))
        for name, value in (("color", colour), ("outline_style", "no")):
            ET.SubElement(options, "Option", {"name": name, "value": value, "type": "QString"})
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8")
    return b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + text


def write_class_style(package: Path, layer: str, classes: Sequence[LegendClass], day: dt.date) -> None:
    """Write the style of a layer into its GeoPackage; `day` is when it is said to have been made."""
    row = {
        **dict.fromkeys(_EMPTY, ""),
        "f_table_name": layer,
        "f_geometry_column": pyogrio.read_info(package, layer=layer)["geometry_name"],
        "styleName": "classes",
        "styleQML": class_style(classes).decode(),
        "useAsDefault": True,
        "description": "the legend's colours",
        "update_time": f"{day}T00:00:00.000Z",
    }
    pyogrio.write_dataframe(pd.DataFrame([row]), package, layer=STYLES, driver="GPKG", append=True)

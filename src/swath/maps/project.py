"""A QGIS project a site, `site.qgz`, that opens with all its maps, the sensible ones visible."""

import hashlib
import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

from pyproj import CRS

from swath.maps.images import image_paths
from swath.maps.sitemaps import SiteMaps
from swath.maps.styles import QGIS_VERSION, raster_style, style_files, vector_layers, vector_style

PROJECT_NAME = "site.qgz"

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of the file in the archive: same maps, same bytes."""


def desktop_files(maps: SiteMaps) -> dict[str, bytes]:
    """Names and bytes of what QGIS reads beside the maps: the styles and the project."""
    return {**style_files(maps), PROJECT_NAME: project_file(maps)}


def project_file(maps: SiteMaps) -> bytes:
    """The project of a site, with paths relative to it.

    Lines lie on top, then classes and the fused PMap, the composite, and groups of images and of the
    PMaps of dates. Visible are the lines, and the newest image or else the fused PMap.

    Args:
        maps: The maps; pictures of images that lie beside them belong to the project, too.
    """
    project = _Project(maps)
    for package, layer in vector_layers(maps.folder):
        project.add_vector(package, layer)
    images = image_paths(maps)
    project.add_raster(maps.classes_path, "Classes")
    project.add_raster(maps.fused_path, "Probability, all dates", shown=not images)
    if maps.changes:
        project.add_raster(maps.changes_path, "Changed classes")
    project.add_raster(maps.composite_path, "Days in colour")
    newest = max(images, default=None)
    for date in reversed(maps.all_dates):
        if date in images:
            project.add_raster(images[date], f"Image, {date}", "Images", shown=date == newest)
        project.add_raster(maps.pmap_path(date), f"Probability, {date}", "Dates")
    return project.archive()


class _Project:
    """A project file as it grows, layer by layer, from top to bottom."""

    def __init__(self, maps: SiteMaps) -> None:
        self._maps = maps
        self._root = ET.Element("qgis", {"projectname": maps.site, "version": QGIS_VERSION})
        ET.SubElement(self._root, "title").text = maps.site
        self._srs(ET.SubElement(self._root, "projectCrs"))
        self._tree = ET.SubElement(self._root, "layer-tree-group")
        self._groups: dict[str, ET.Element] = {}
        self._view()
        self._layers = ET.SubElement(self._root, "projectlayers")
        properties = ET.SubElement(self._root, "properties")
        absolute = ET.SubElement(ET.SubElement(properties, "Paths"), "Absolute", {"type": "bool"})
        absolute.text = "false"
        enabled = ET.SubElement(
            ET.SubElement(properties, "SpatialRefSys"), "ProjectionsEnabled", {"type": "int"}
        )
        enabled.text = "1"

    def add_vector(self, package: Path, name: str) -> None:
        style = vector_style(package, name, self._maps.legend)
        line = style.get("type") == "graduatedSymbol"
        facts = {"type": "vector", "geometry": "Line" if line else "Polygon"}
        source = f"./{package.name}|layername={name}"
        title = name.replace("_", " ").capitalize()
        self._add(f"vectors_{name}", source, title, "ogr", facts, None, shown=line).append(style)

    def add_raster(self, path: Path, title: str, group: str | None = None, *, shown: bool = False) -> None:
        facts = {"type": "raster"}
        layer = self._add(path.stem, f"./{path.name}", title, "gdal", facts, group, shown=shown)
        layer.append(raster_style(path, self._maps))

    def archive(self) -> bytes:
        """The project as a `.qgz`: a zip archive of the `.qgs`."""
        for group in self._groups.values():  # groups lie below single layers
            self._tree.append(group)
        ET.indent(self._root)
        head = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            entry = zipfile.ZipInfo(f"{self._maps.site}.qgs", _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, head + ET.tostring(self._root, encoding="utf-8"))
        return stream.getvalue()

    def _add(
        self,
        name: str,
        source: str,
        title: str,
        provider: str,
        facts: dict[str, str],
        group: str | None,
        *,
        shown: bool,
    ) -> ET.Element:
        if group is not None and group not in self._groups:
            fields = {"name": group, "checked": "Qt::Checked", "expanded": "0"}
            self._groups[group] = ET.Element("layer-tree-group", fields)
        parent = self._tree if group is None else self._groups[group]
        checked = "Qt::Checked" if shown else "Qt::Unchecked"
        # QGIS gives other names to layers whose own are short.
        name = f"{name}_{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        fields = {"id": name, "name": title, "providerKey": provider, "source": source, "checked": checked}
        ET.SubElement(parent, "layer-tree-layer", {**fields, "expanded": "0"})
        layer = ET.SubElement(self._layers, "maplayer", {**facts, "hasScaleBasedVisibilityFlag": "0"})
        ET.SubElement(layer, "id").text = name
        ET.SubElement(layer, "datasource").text = source
        ET.SubElement(layer, "layername").text = title
        self._srs(ET.SubElement(layer, "srs"))
        ET.SubElement(layer, "provider").text = provider
        return layer

    def _srs(self, parent: ET.Element) -> None:
        system = CRS.from_user_input(self._maps.grid.crs)
        srs = ET.SubElement(parent, "spatialrefsys")
        ET.SubElement(srs, "wkt").text = system.to_wkt()
        authority = system.to_authority()
        if authority:
            ET.SubElement(srs, "authid").text = ":".join(authority)

    def _view(self) -> None:
        canvas = ET.SubElement(self._root, "mapcanvas", {"name": "theMapCanvas"})
        ET.SubElement(canvas, "units").text = "meters"
        extent = ET.SubElement(canvas, "extent")
        for name, side in zip(("xmin", "ymin", "xmax", "ymax"), self._maps.grid.bounds, strict=True):
            ET.SubElement(extent, name).text = f"{side:.3f}"
        self._srs(ET.SubElement(canvas, "destinationsrs"))

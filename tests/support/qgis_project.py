"""Run by the Python that has QGIS: what it makes of the project and the styles of MAPS/<site>."""

import json
import os
import sys

from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsVectorLayer

QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False)
application.initQgis()
folder = sys.argv[1]
project = QgsProject.instance()
assert project.read(f"{folder}/site.qgz")
vector = QgsVectorLayer(f"{folder}/roads.gpkg|layername=roads", "roads", "ogr")
raster = QgsRasterLayer(f"{folder}/pmap.tif", "pmap")
told = {
    "crs": project.crs().authid(),
    "layers": {
        layer.name(): (layer.renderer().type(), layer.isValid()) for layer in project.mapLayers().values()
    },
    "vector_style": vector.renderer().type(),
    "raster_style": raster.renderer().type(),
}
sys.stdout.write(json.dumps(told) + "\n")
sys.stdout.flush()
os._exit(0)  # without a screen, Debian's QGIS breaks off when it is told to end

"""Areas where a map of many classes is wrong, on a map that is worked by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from affine import Affine

from swath.evaluation.errorareas import error_areas
from swath.evaluation.truth import Truth
from swath.grid import Grid, Window
from swath.legend import read_legend

GRID = Grid("EPSG:32630", Affine(10, 0, 500_000, 0, -10, 5_000_000), (12, 12))


def test_every_area_has_both_its_classes(write_scene: Any, tmp_path: Path) -> None:
    legend = read_legend("landcover")
    labels = np.zeros(GRID.shape, np.uint8)
    labels[:6] = 1
    mapped = labels.copy()
    mapped[0:2, 0:3] = 2  # 6 px of class 1 as 2
    mapped[8:12, 4:6] = 2  # 8 px of class 0 as 2; 4 of them are not labelled
    labels[8:10, 4:6] = 255
    mapped[5, 11] = 2  # a single one
    mapped[0, 11] = 255  # no data
    labels[2:6, 8:10] = 3  # 8 px of class 3 as 1, in no split
    path = write_scene(tmp_path / "classes.tif", mapped[None], GRID, nodata=255)
    inside = (Window(0, 0, 12, 7), Window(5, 11, 1, 1))
    truth = Truth("town", GRID, legend, labels, None, {"test": inside})
    found = error_areas(SimpleNamespace(classes_path=path), truth)  # type: ignore[arg-type]
    names = legend.names
    rows = found[["class", "mapped_as", "split", "area_ha"]].to_numpy().tolist()
    assert rows == [[names[1], names[2], "test", 0.06], [names[0], names[2], "test", 0.04]]
    assert found.geometry.iloc[0].bounds == (500_000, 4_999_980, 500_030, 5_000_000)

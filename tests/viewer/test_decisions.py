"""Decisions that are kept beside the maps, with what people have added to the file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely

from swath.viewer.decisions import LAYER, NAME, Decision, keep_decision, read_decisions

FEATURE = gpd.GeoDataFrame(geometry=[shapely.LineString([(500000, 5000000), (500100, 5000000)])], crs=32631)


def decide(folder: Path, key: str, verdict: str) -> None:
    decision = {"key": key, "site": "town", "overlay": "candidates", "feature": "1", "verdict": verdict}
    keep_decision(folder, Decision.model_validate(decision), FEATURE)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file of two decisions, with a column, a style and a table of somebody."""
    decide(tmp_path, "a", "accept")
    decide(tmp_path, "b", "accept")
    frame = pyogrio.read_dataframe(tmp_path / NAME, layer=LAYER).assign(seen_by=["ann", "bo"])
    pyogrio.write_dataframe(frame, tmp_path / NAME, layer=LAYER, driver="GPKG")
    with closing(sqlite3.connect(tmp_path / NAME)) as base:
        base.execute("create table layer_styles (f_table_name text, styleQML text)")
        base.execute("insert into layer_styles values ('decisions', 'red')")
        base.commit()
    return tmp_path


def test_what_people_add_to_the_file_is_kept(kept: Path) -> None:
    decide(kept, "a", "reject")
    decide(kept, "c", "accept")
    rows = read_decisions(kept).set_index("key")
    assert rows["verdict"].to_dict() == {"a": "reject", "b": "accept", "c": "accept"}
    assert rows["seen_by"].dropna().to_dict() == {"a": "ann", "b": "bo"}
    with closing(sqlite3.connect(kept / NAME)) as base:
        assert base.execute("select * from layer_styles").fetchall() == [("decisions", "red")]

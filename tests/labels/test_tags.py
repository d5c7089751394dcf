"""Tags in plain columns, bundled in one, or as lists."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.labels.tags import tag_columns
from swath.legend import read_legend

ROADS = read_legend("roads")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("other_tags", '"tunnel"=>"yes","name"=>"say \\"no\\" => x","ref"=>NULL'),
        ("all_tags", '"highway"=>"primary", "tunnel" => "yes"'),
        ("tags", '{"tunnel": "yes", "layer": "-1"}'),
        ("tags", "{'tunnel': 'yes', 'layer': -1}"),
        ("tags", {"tunnel": "yes"}),
        ("tags", [("tunnel", "yes"), ("layer", "-1")]),
    ],
)
def test_bundles(column: str, value: object) -> None:
    frame = pd.DataFrame({"highway": ["primary", "primary"], column: [value, None]}, dtype=object)
    columns = tag_columns(frame, ROADS)
    assert columns["highway"] == ["primary", "primary"]
    assert columns["tunnel"] == ["yes", None]


def test_a_plain_column_comes_first() -> None:
    frame = pd.DataFrame({"highway": ["primary", None], "tags": ['{"highway": "residential"}'] * 2})
    assert tag_columns(frame, ROADS)["highway"] == ["primary", "residential"]


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("['footway', 'residential']", "residential"),
        ('["residential", "footway"]', "residential"),
        ("(2:footway,residential)", "residential"),
        (["footway", "residential"], "residential"),
        (np.array(["footway", "path"], object), "footway"),
        ("[not a list", "[not a list"),
        ([], None),
        (7, "7"),
        (float("nan"), None),
    ],
)
def test_lists(value: object, tag: str | None) -> None:
    column = pd.Series([value, "primary"], dtype=object)
    assert tag_columns(pd.DataFrame({"highway": column}), ROADS)["highway"] == [tag, "primary"]


def test_a_list_in_which_anything_excludes() -> None:
    frame = pd.DataFrame({"tunnel": ["['no', 'building_passage']", "['no']", "gallery"]})
    tags = tag_columns(frame, ROADS)["tunnel"]
    assert tags == ["building_passage", "no", "gallery"]
    ids = [ROADS.classify({"highway": "primary", "tunnel": tag}, "line") for tag in tags]
    assert ids == [None, 1, None]


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=4))
def test_hstore_comes_back_as_it_was(tags: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    hstore = ",".join(f"{quoted(key)}=>{quoted(value)}" for key, value in tags.items())
    frame = pd.DataFrame({"other_tags": [hstore], "highway": ["primary"]})
    columns = tag_columns(frame, ROADS)
    assert columns["tunnel"] == [tags.get("tunnel") or None]


@given(st.text(max_size=40) | st.recursive(st.none() | st.text(max_size=3), st.lists, max_leaves=9))
def test_anything_gives_a_tag_or_none(value: object) -> None:
    for held in (value, json.dumps(value)):
        frame = pd.DataFrame({"highway": pd.Series([held], dtype=object), "tags": [held]})
        (tag,) = tag_columns(frame, ROADS)["highway"]
        assert tag is None or isinstance(tag, str)

import math
from pathlib import Path

import pytest

from swath.errors import SettingsError
from swath.legend import Legend, read_legend
from swath.validation import parse_yaml

THREE = """
name: three
classes:
  - {id: 0, name: rest, color: "#ffffff"}
  - {id: 1, name: water, color: "#0000ff", geometry: area, tags: {natural: [water]}}
  - {id: 2, name: road, color: "#ff0000", geometry: line, tags: {highway: ["*"]},
     exclude: {tunnel: ["yes"]}}
  - {id: 3, name: motorway, color: "#00ff00", geometry: line, tags: {highway: [motorway]}}
"""


@pytest.fixture
def three() -> Legend:
    return parse_yaml(THREE, Legend, "three.yaml")


def test_the_last_class_that_matches_wins(three: Legend) -> None:
    assert three.classify({"highway": "motorway"}) == 3
    assert three.classify({"highway": "track"}) == 2
    assert three.classify({"natural": "water", "highway": None}) == 1


def test_what_matches_nothing_is_not_on_the_map(three: Legend) -> None:
    assert three.classify({"building": "yes"}) is None
    assert three.classify({"highway": math.nan}) is None


def test_exclude_takes_a_feature_out_of_its_own_class_only(three: Legend) -> None:
    assert three.classify({"highway": "track", "tunnel": "yes"}) is None
    # `motorway` excludes nothing.
    assert three.classify({"highway": "motorway", "tunnel": "yes"}) == 3


def test_keys_are_all_that_is_looked_at(three: Legend) -> None:
    assert three.keys == ("highway", "natural", "tunnel")
    assert three.names == ("rest", "water", "road", "motorway")
    assert three.classes[2].rgb == (255, 0, 0)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"highway": "residential"}, 1),
        ({"highway": "motorway_link"}, 1),
        ({"highway": "road"}, 1),
        ({"highway": "footway"}, None),
        ({"highway": "service"}, None),
        ({"highway": "primary", "tunnel": "yes"}, None),
        ({"highway": "primary", "tunnel": "no"}, 1),
        ({"highway": "residential", "area": "yes"}, None),
    ],
)
def test_shipped_roads(tags: dict[str, str], expected: int | None) -> None:
    assert read_legend("roads").classify(tags) == expected


def test_shipped_water() -> None:
    water = read_legend("water")
    assert water.classify({"natural": "water"}) == 1
    assert water.classify({"class": "water"}) == 1
    assert water.foreground[0].geometry == "area"


def test_where_unmapped_is_ignored_class_0_has_tags(three: Legend) -> None:
    assert three.tagged == three.foreground
    text = THREE.replace("name: three", "name: three\nunmapped: ignore").replace(
        'color: "#ffffff"', 'color: "#ffffff", geometry: area, tags: {landuse: [residential]}'
    )
    legend = parse_yaml(text, Legend, "three.yaml")
    assert legend.tagged == legend.classes
    assert legend.classify({"landuse": "residential"}) == 0
    assert legend.classify({"landuse": "forest"}) is None


def test_a_legend_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(THREE)
    assert read_legend("mine.yaml", tmp_path).name == "three"


def test_unknown_legend_names_the_shipped_ones() -> None:
    shipped = "corine, landcover, roads, roads-by-class, surroundings, water, worldcover"
    with pytest.raises(SettingsError, match=f"no legend 'rails'; shipped legends are {shipped}"):
        read_legend("rails")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.yaml: no such file"):
        read_legend("gone.yaml", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: 2", "id: 5", "class ids must be 0, 1, 2"),
        ("name: road", "name: water", "class names must differ"),
        ('color: "#ffffff"', 'color: "#ffffff", tags: {a: [b]}', "class 0 is the background"),
        ("geometry: area, ", "", "'water' needs a geometry"),
        ("geometry: area", "geometry: area, width: {default_m: 5}", "has a width, but .* not line"),
        ("name: three", "name: three\nunmapped: ignore", "'rest' needs a geometry"),
        ("name: three", "name: three\nunmapped: forest", "unmapped"),
        ('"#0000ff"', "blue", "color"),
        ("geometry: area", "geometry: point", "geometry"),
        ("name: three", "name: three\nnote: x", "unknown key 'note'"),
    ],
)
def test_a_broken_legend_is_one_clear_line(old: str, new: str, message: str) -> None:
    assert old in THREE
    with pytest.raises(SettingsError, match=message) as error:
        parse_yaml(THREE.replace(old, new, 1), Legend, "mine.yaml")
    assert str(error.value).startswith("mine.yaml: ")
    assert "\n" not in str(error.value)


def test_a_star_is_any_value_but_no() -> None:
    road = {"highway": "residential"}
    roads = read_legend("roads")
    for key in ("tunnel", "covered"):
        assert roads.classify(road | {key: "no"}) == 1
        for value in ("yes", "avalanche_protector", "arcade"):
            assert roads.classify(road | {key: value}) is None


@pytest.mark.parametrize("value", ["!!timestamp abc", "!!bool x", '"\\UFFFFFFFF"', "!!int ''", "!!float x"])
def test_tags_and_escapes_that_cannot_be_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"mine\.yaml"):
        parse_yaml(f"classes: {value}\n", Legend, "mine.yaml")

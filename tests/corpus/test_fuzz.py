"""Whatever is in a file, the readers that are ours give a value or one of our errors."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from support import safe_products
from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset
from swath.errors import InputError, SettingsError, SwathError, printable
from swath.files import read_json
from swath.labels.osm import read_extract
from swath.legend import read_legend
from swath.models.spec import ModelSpec
from swath.names import check_class_name, check_own, place_inside, slug
from swath.scenes.safe_xml import parse_product, parse_tile
from swath.sites.schema import SitesFile
from swath.validation import parse_yaml

SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)

SITES = {
    "resolution_m": 10.0,
    "image": {"bands": ["B04", "B03", "B02"], "encoding": "tci"},
    "fetch": {"start": "2019-01-01", "dates": 3, "max_cloud": 5.0},
    "sites": {
        "town": {"scenes": [{"path": "a.tif", "shift_m": [1, 2]}], "labels": "x.gpkg", "split": "train"}
    },
}

OSM = (
    '<osm version="0.6"><node id="1" lat="0" lon="0"/><node id="2" lat="0.1" lon="0.1"/>'
    '<way id="3"><nd ref="1"/><nd ref="2"/><tag k="highway" v="residential"/></way></osm>'
)


@st.composite
def spoilt(draw: Callable[..., Any], value: Any) -> Any:
    """The value with one thing somewhere inside replaced."""
    value = json.loads(json.dumps(value))
    if isinstance(value, (dict, list)) and value and draw(st.booleans() | st.just(True)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw(st.sampled_from(keys))
        if isinstance(value, dict) and draw(st.integers(0, 5)) == 0:
            del value[key]
        else:
            value[key] = draw(spoilt(value[key]))
        return value
    return draw(VALUES)


@st.composite
def scratched(draw: Callable[..., Any], text: str) -> bytes:
    """The bytes of a text, some of them cut out or replaced."""
    data = text.encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = (
            data[:start]
            + draw(st.binary(max_size=6) | st.sampled_from([b"9" * 40, b"nan", b"<", b"-"]))
            + data[end:]
        )
    return data


@given(st.text(max_size=200) | spoilt(SITES).map(lambda value: yaml.safe_dump(value, allow_unicode=True)))
def test_sites_files(text: str) -> None:
    with contextlib.suppress(SettingsError):
        settings = parse_yaml(text, SitesFile, "sites.yaml")
        assert all(check.isascii() for check in settings.sites)


@SLOW
@given(scratched(json.dumps(SITES)))
def test_json_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with contextlib.suppress(InputError):
        json.dumps(read_json(tmp_path / "x.json"), allow_nan=False)


@SLOW
@given(st.data())
def test_catalogues(tmp_path: Path, dataset: Dataset, data: st.DataObject) -> None:
    site = dataset.sites[0].name
    name = data.draw(st.sampled_from(["catalog.json", f"{site}/collection.json"]))
    for path in dataset.root.rglob("*"):
        copy = tmp_path / path.relative_to(dataset.root)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
        elif path.suffix == ".json":
            copy.write_bytes(path.read_bytes())
        elif not copy.exists():
            copy.hardlink_to(path)
    value = data.draw(spoilt(json.loads((dataset.root / name).read_text("utf-8"))))
    (tmp_path / name).write_text(json.dumps(value), "utf-8")
    with contextlib.suppress(SwathError):
        for found in read_dataset(tmp_path).sites:
            for path in (found.labels, *(image.path for image in found.acquisitions)):
                assert path.resolve().is_relative_to(tmp_path.resolve())


@given(st.data())
def test_models(data: st.DataObject) -> None:
    from swath.models.starter import STARTER

    spec = json.loads((STARTER / "model.json").read_text("utf-8"))
    with contextlib.suppress(ValidationError):
        found = ModelSpec.model_validate(data.draw(spoilt(spec)))
        assert max(found.sizes.values(), default=1) <= 4096


@given(st.data())
def test_metadata_of_products(data: st.DataObject) -> None:
    made = safe_products.PRODUCTS["L2A_N0400"]
    with contextlib.suppress(InputError):
        parse_product(data.draw(scratched(safe_products.product_xml(made, "x", []))), "x")
    with contextlib.suppress(InputError):
        parse_tile(data.draw(scratched(safe_products.tile_xml(made))), "x")


@SLOW
@given(scratched(OSM))
def test_openstreetmap_extracts(tmp_path: Path, data: bytes) -> None:
    pytest.importorskip("osmium")
    (tmp_path / "x.osm").write_bytes(data)
    with contextlib.suppress(InputError):
        read_extract(tmp_path / "x.osm", read_legend("roads"), (-1.0, -1.0, 1.0, 1.0))


@given(st.text(max_size=40))
def test_names_are_harmless(text: str) -> None:
    assert printable(text).isprintable()
    assert not set(slug(text)) & set("/\\\0")
    with contextlib.suppress(ValueError):
        assert not set(check_class_name(text)) & set("<>[]$\\\0\n\x1b")


@SLOW
@given(st.lists(st.sampled_from(["..", ".", "a", "b", "/", "link", "\0", "http:"]), max_size=5))
def test_places_stay_inside(tmp_path: Path, parts: list[str]) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True, exist_ok=True)
    if not (root / "link").is_symlink():
        (root / "link").symlink_to(tmp_path)
    with contextlib.suppress(InputError):
        assert place_inside(root, root / "a", "/".join(parts)).resolve().is_relative_to(root.resolve())


def test_a_link_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    check_own(tmp_path, tmp_path / "nothing")
    with pytest.raises(InputError, match="link to another place"):
        check_own(tmp_path / "link")

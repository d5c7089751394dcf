"""The commands one after another on real images and real roads, as a user types them."""

import json
from pathlib import Path

import pytest
import rasterio
import yaml

from swath.cli import run

pytestmark = pytest.mark.data

SETTINGS = {
    "model": "unet-attention",  # begins as the mean, so that so few steps do not spoil it
    "width": 4,
    "hidden": 4,
    "fcn": {
        "phases": [{"learning_rate": 0.003, "epochs": 2}],
        "batches": 8,
        "batch_size": 4,
        "patch_px": 64,
    },
    "rnn": {
        "phases": [{"learning_rate": 0.003, "epochs": 1}],
        "batches": 6,
        "batch_size": 4,
        "patch_px": 64,
    },
}


def swath(capsys, *arguments):
    """Run a command with --json; its one JSON object."""
    code = run([*(str(a) for a in arguments), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def refused(capsys, *arguments):
    """Run a command that must fail as bad input; its one line."""
    code = run([str(a) for a in arguments])
    out, err = capsys.readouterr()
    lines = err.strip().splitlines()
    assert code == 2
    assert out == ""
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def city(data_dir, name, split):
    folder = data_dir / "real/cities" / name
    return {
        "scenes": [{"path": str(folder / "*.tif")}],
        "labels": str(folder / "roads.geojson"),
        "coverage": str(folder / "coverage.geojson"),
        "split": split,
    }


@pytest.fixture(scope="module")
def sites(data_dir):
    splits = {"norcia": "train", "bercy": "validation", "brasilia": "test"}
    return {name: city(data_dir, name, split) for name, split in splits.items()}


def write_sites(folder, sites):
    path = folder / "sites.yaml"
    path.write_text(yaml.safe_dump({"sites": sites}, sort_keys=False))
    return path


def test_build_train_map_evaluate(sites, tmp_path, capsys):
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(SETTINGS))
    dataset, trained, maps, report = (tmp_path / name for name in ("dataset", "run", "maps", "report"))
    built = swath(capsys, "build", write_sites(tmp_path, sites), "--out", dataset)
    assert [site["name"] for site in built["sites"]] == ["norcia", "bercy", "brasilia"]
    fitted = swath(capsys, "train", dataset, "--out", trained, "--settings", settings)
    assert fitted["model"] == "U-NET + attention"
    mapped = swath(capsys, "map", trained, "--dataset", dataset, "--split", "all", "--out", maps)
    assert {site["fusion"] for site in mapped["sites"]} == {"attention"}
    evaluated = swath(capsys, "evaluate", maps, "--dataset", dataset, "--out", report)
    content = json.loads((report / "report.json").read_text())
    rows = content["rows"]
    assert evaluated["rows"] == len(rows)
    test = {(row["model"], row["threshold_rule"]) for row in rows if row["split"] == "test"}
    for model in ("dates", "fused", "mean", "median", "vote", "max", "all-class"):
        assert {(model, "half"), (model, "validation")} <= test
    with (
        rasterio.open(maps / "brasilia/pmap.tif") as fused,
        rasterio.open(dataset / "brasilia/labels.tif") as labels,
    ):
        assert (fused.crs, fused.transform, fused.shape) == (
            labels.crs,
            labels.transform,
            labels.shape,
        )
        assert fused.descriptions == ("road", "background")

    # The same model on the files themselves, as someone without labels would use it.
    folder = tmp_path / "scenes"
    swath(capsys, "map", trained, *sites_files(sites["norcia"]), "--out", folder)
    assert (folder / "norcia/roads.gpkg").is_file()


def sites_files(site):
    pattern = Path(site["scenes"][0]["path"])
    return sorted(pattern.parent.glob(pattern.name))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scenes": [{"path": "nowhere/*.tif"}]}, "nowhere"),
        ({"scenes": [{"path": "{norcia}/2016-01-01.tif"}]}, "2016-01-01"),
        ({"scenes": [{"path": "{norcia}/roads.geojson", "date": "2016-01-01"}]}, "roads.geojson"),
        ({"labels": "{bercy}/roads.geojson", "coverage": "{bercy}/coverage.geojson"}, "overlap"),
        ({"lables": "x"}, "lables"),
        ({"scenes": [{"path": "{norcia}/*.tif", "bands": ["B02", "B03"]}]}, "band"),
        ({"scenes": [{"path": "{norcia}/*.tif", "exclude": ["2000-01-01"]}]}, "2000-01-01"),
        ({"split": "training"}, "split"),
    ],
)
def test_bad_input_to_build(data_dir, sites, tmp_path, capsys, change, says):
    """A missing date, unreadable files, no overlap, an unknown key, a wrong band count."""
    text = json.dumps(change)
    for name in ("norcia", "bercy"):
        text = text.replace(f"{{{name}}}", str(data_dir / "real/cities" / name))
    broken = sites["norcia"] | json.loads(text)
    path = write_sites(tmp_path, {"norcia": broken})
    assert says in refused(capsys, "build", path, "--out", tmp_path / "dataset")
    assert [p.name for p in tmp_path.iterdir()] == ["sites.yaml"]


def test_a_site_called_all(sites, tmp_path, capsys):
    path = write_sites(tmp_path, {"all": sites["norcia"]})
    assert "'all'" in refused(capsys, "build", path, "--out", tmp_path / "dataset")


def test_one_date_only(data_dir, sites, tmp_path, capsys):
    one = str(data_dir / "real/cities/norcia/2015-07-11.tif")
    path = write_sites(tmp_path, {"norcia": sites["norcia"] | {"scenes": [{"path": one}]}})
    swath(capsys, "build", path, "--out", tmp_path / "dataset")
    line = refused(capsys, "train", tmp_path / "dataset", "--out", tmp_path / "run")
    assert "one date only" in line
    assert not (tmp_path / "run").exists()

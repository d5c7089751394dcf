"""The demo, made very small: the whole way, twice the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from swath import cli, demo, extras
from swath.dataset.catalog import read_dataset
from swath.demo import DemoPlan, DemoResult, map_town, run_demo, town_lines
from swath.errors import MissingExtraError, OutputExistsError
from swath.maps.sitemaps import read_maps
from swath.models.trained import load_model
from swath.report.table import table_text
from swath.training.presets import Phase, StageSettings, TrainSettings

STAGE = StageSettings(phases=(Phase(learning_rate=1e-3, epochs=1),), batches=2, batch_size=2, patch_px=32)
TINY = DemoPlan(
    splits={"sim_1": "train", "sim_2": "validation", "sim_3": "test"},
    size_px=96,
    dates=2,
    settings=TrainSettings(model="unet-attention", width=4, hidden=4, fcn=STAGE, rnn=STAGE),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("demo") / "out", seed=1, device="cpu", plan=TINY)


def table(done: DemoResult) -> list[dict[str, Any]]:
    return [row.as_json() for row in done.report.table()]


def test_every_step_left_what_the_commands_read(done: DemoResult) -> None:
    dataset = read_dataset(done.dataset)
    assert [site.splits for site in dataset.sites] == [("train",), ("validation",), ("test",)]
    assert load_model(done.run).spec.dates == 2
    assert [maps.site for maps in read_maps(done.maps)] == ["sim_1", "sim_2", "sim_3"]
    assert done.page.name == "report.html"
    assert done.page.is_file()
    assert done.seconds > 0


def test_it_begins_with_a_real_town(done: DemoResult) -> None:
    town = done.town
    assert town.page == done.dataset.parents[1] / "rennes" / "index.html"
    page = town.page.read_text("utf-8")
    for text in ("Candidates", "modified Copernicus Sentinel data 2015-2017", "OpenStreetMap contributors"):
        assert text in page
    (maps,) = read_maps(town.maps)
    assert maps.fusion == "since"
    assert [str(date) for date in maps.dates] == ["2015-08-21", "2017-06-21"]
    assert (town.candidates / "candidates.geojson").is_file()
    # It learnt from this place: most roads are there, and most of the map is a road.
    assert 150 < town.roads_km < 210
    assert town.both_km > 3 * town.osm_only_km
    assert town.both_km > 3 * town.map_only_km
    text = " ".join(town_lines(town))
    assert "the weights learnt from this town" in text
    assert str(town.page) in text


def test_table_has_the_papers_form_and_the_controls(done: DemoResult) -> None:
    models = [row["name"] for row in table(done)]
    assert models[:2] == ["U-NET, one date", "U-NET + attention"]
    assert len(models) >= 7  # mean, median, vote, max, shifted, all-background, all-road
    for row in table(done):
        for split in ("train", "validation", "test"):
            assert 0 <= row[split]["accuracy"] <= 1
            assert 0 <= row[split]["iou"] <= 1
    for word in ("U-NET + attention", "accuracy", "IoU", "Simulated"):
        assert word in table_text(done.report)


def test_all_background_accuracy_is_one_minus_the_share_of_roads(done: DemoResult) -> None:
    from swath.dataset.site import read_labels

    background = next(r for r in table(done) if "background" in r["model"])
    labels = read_labels(read_dataset(done.dataset).site("sim_3"))
    expected = (labels == 0).sum() / (labels != 255).sum()
    assert background["test"]["accuracy"] == pytest.approx(expected, abs=1e-6)
    assert background["test"]["iou"] == 0


def test_same_seed_same_scores(done: DemoResult, tmp_path: Path) -> None:
    again = run_demo(tmp_path / "out", seed=1, device="cpu", plan=TINY)
    assert again.report.rows == done.report.rows
    weights = [load_model(r).spec.scores for r in (again.run, done.run)]
    assert weights[0] == weights[1]


def test_command_prints_json_or_table_and_what_to_do_next(
    done: DemoResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda *_, **__: done)
    assert cli.run(["demo", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["table"] == table(done)
    assert Path(result["report"]).is_file()
    assert cli.run(["demo"]) == 0
    text = capsys.readouterr().out
    for word in ("U-NET", "report.html", str(done.maps), "swath build SITES.yaml", str(done.town.page)):
        assert word in text


def test_output_is_kept_unless_told(done: DemoResult) -> None:
    out = done.town.page.parents[1]
    page = done.town.page.stat().st_mtime_ns
    with pytest.raises(OutputExistsError, match="exists already"):
        run_demo(out, plan=TINY)
    with pytest.raises(OutputExistsError, match="holds dataset, which swath demo did not write"):
        run_demo(done.dataset.parent, plan=TINY, overwrite=True)
    with pytest.raises(OutputExistsError, match="rennes exists already"):
        map_town(out)
    assert done.town.page.stat().st_mtime_ns == page


def test_missing_extra_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "jinja2" else object())
    with pytest.raises(MissingExtraError, match=r"jinja2.*swath\[report\]"):
        run_demo(tmp_path / "out", plan=TINY)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_demo_says_what_is_kept(
    done: DemoResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "map_town", lambda *_, **__: done.town)
    monkeypatch.setattr(demo, "_simulate", interrupt)
    assert cli.run(["demo", "--out", str(tmp_path / "demo")]) == 130
    assert f"kept: the map of the real town ({done.town.page})" in capsys.readouterr().err
    assert not (tmp_path / "demo" / "simulated").exists()

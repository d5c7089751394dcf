"""The threshold that a scene's own scores ask for: in the metrics, the maps and the report."""

import json

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from support.saved_runs import save_mixed_run
from swath.cli import run as swath
from swath.errors import DatasetError
from swath.files import read_json, write_json
from swath.grid import Grid
from swath.maps.manifest import read_manifest
from swath.maps.rasters import classify, foreground_bins, scene_edge
from swath.maps.sitemaps import PMAP_NODATA, decode_pmap, read_maps
from swath.metrics.histogram import BINS, HALF, STEPS, class_score, score_bins, threshold
from swath.metrics.scores import best_edge, expected_edge
from swath.scenes.raster import write_raster

RNG = np.random.default_rng(0)


def expected_iou(scores, cut):
    """The sum of the definition: expected intersection over expected union."""
    chosen = scores > cut
    return scores[chosen].sum() / (scores.sum() + (1 - scores[chosen]).sum())


@given(st.lists(st.integers(1, 999), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_no_other_threshold_promises_a_higher_iou(middles, seed):
    scores = np.random.default_rng(seed).choice((np.array(middles) - 0.5) / STEPS, 200)
    edge = expected_edge(np.bincount(score_bins(scores), minlength=BINS))
    best = max(expected_iou(scores, cut) for cut in np.arange(STEPS) / STEPS)
    assert expected_iou(scores, threshold(edge)) == pytest.approx(best)


def test_where_scores_are_calibrated_it_is_the_best_threshold():
    """Scores drawn evenly from 0..1, and labels drawn by them.

    Above t there are (1 - t²)/2 true and (1 - t)²/2 false pixels, of 1/2 true in all: the IoU
    (1 - t²)/(1 + (1 - t)²) is the highest where t² - 3 t + 1 = 0.
    """
    scores = RNG.random(2_000_000)
    truth = RNG.random(len(scores)) < scores
    bins = score_bins(scores)
    found = expected_edge(np.bincount(bins, minlength=BINS))
    exact = (3 - 5**0.5) / 2
    assert threshold(found) == pytest.approx(exact, abs=0.01)
    counts = np.stack([np.bincount(bins[truth == k], minlength=BINS) for k in (False, True)])
    assert threshold(best_edge(counts)) == pytest.approx(exact, abs=0.02)


def test_a_less_sure_map_has_a_lower_threshold():
    sure, unsure = (
        expected_edge(np.bincount(score_bins(RNG.beta(a, b, 10_000)), minlength=BINS))
        for a, b in ((0.3, 0.6), (2, 8))
    )
    assert unsure < sure < HALF


def test_scores_of_0_have_no_threshold_to_find():
    assert expected_edge(np.bincount([0, 0, 0], minlength=BINS)) == HALF


def test_stored_probabilities_have_the_bins_that_the_report_gives_them():
    codes = np.arange(255, dtype=np.uint8).reshape(1, 3, 85)
    pmap, _ = decode_pmap(codes)
    np.testing.assert_array_equal(foreground_bins(codes), score_bins(class_score(pmap, 1)))
    codes[:, 1, 4] = PMAP_NODATA
    assert foreground_bins(codes)[1, 4] == 0


def test_half_is_the_likelier_class_and_ties_are_background():
    codes = RNG.integers(0, 255, (1, 300, 300), dtype=np.uint8)
    codes[:, 0, :50] = PMAP_NODATA
    codes[:, 1, 0] = 127
    known = codes[0] != PMAP_NODATA
    expected = np.where(known, codes[0] > 127, PMAP_NODATA)
    np.testing.assert_array_equal(classify(codes), expected)
    assert classify(codes)[1, 0] == 0


def test_more_classes_have_no_threshold():
    codes = RNG.integers(0, 255, (5, 20, 20), dtype=np.uint8)
    assert scene_edge([codes]) == HALF
    np.testing.assert_array_equal(classify(codes, 3), codes.argmax(axis=0))


def test_a_scene_in_pieces_has_the_threshold_of_the_whole():
    codes = RNG.beta(1, 4, (1, 64, 64)) * 254
    codes = codes.astype(np.uint8)
    codes[:, :10, :10] = PMAP_NODATA
    pieces = [codes[:, r : r + 16, c : c + 32] for r in range(0, 64, 16) for c in (0, 32)]
    assert scene_edge(pieces) == scene_edge([codes])


@pytest.fixture
def scenes(tmp_path):
    grid = Grid.from_bounds((500_000, 4_800_000, 500_960, 4_800_640), "EPSG:32631")
    images = RNG.integers(1, 255, (2, 3, *grid.shape), dtype=np.uint8)
    images[:, :, :12, :20] = 0
    (tmp_path / "place").mkdir()
    for day, image in enumerate(images, 1):
        path = tmp_path / f"place/2020-06-0{day}.tif"
        write_raster(path, image, grid, nodata=0, names=["B04", "B03", "B02"])
    save_mixed_run(tmp_path / "run", images)
    return sorted((tmp_path / "place").iterdir())


def map_scenes(capsys, scenes, out, *options):
    run = scenes[0].parent.parent / "run"
    status = swath([str(a) for a in ("map", run, *scenes, "--out", out, *options, "--json")])
    said = capsys.readouterr()
    return status, json.loads(said.out)["sites"][0] if status == 0 else said.err


def test_the_classes_are_those_above_the_scenes_threshold(scenes, tmp_path, capsys):
    _, made = map_scenes(capsys, scenes, tmp_path / "maps", "--tile", "32")
    with (
        rasterio.open(tmp_path / "maps/place/pmap.tif") as fused,
        rasterio.open(tmp_path / "maps/place/classes.tif") as classes,
    ):
        codes, found, said = fused.read([1]), classes.read(1), classes.tags()["THRESHOLD"]
    pmap, valid = decode_pmap(codes)
    bins = score_bins(class_score(pmap, 1))
    edge = expected_edge(np.bincount(bins[valid], minlength=BINS))
    assert 0 < edge < HALF
    assert made["threshold"] == float(said) == edge / STEPS
    np.testing.assert_array_equal(found, np.where(valid, bins > edge, PMAP_NODATA))
    item = json.loads((tmp_path / "maps/place/item.json").read_text())
    assert item["assets"]["classes"]["swath:threshold"] == edge / STEPS
    assert read_manifest(tmp_path / "maps/place").threshold == edge / STEPS


def test_the_threshold_outlives_a_kill_and_no_tag_is_read(scenes, tmp_path, capsys, monkeypatch):
    _, undisturbed = map_scenes(capsys, scenes, tmp_path / "undisturbed")

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("swath.mapping.stages.finish", fail)
        patch.setattr("swath.mapping.stages.with_threshold", lambda rasters, _: rasters)
        run = scenes[0].parent.parent / "run"
        arguments = ["map", run, *scenes, "--out", tmp_path / "maps"]
        assert swath([str(a) for a in arguments]) == 130
    capsys.readouterr()
    _, finished = map_scenes(capsys, scenes, tmp_path / "maps")
    assert finished["made"] == []
    assert finished["threshold"] == undisturbed["threshold"] is not None
    with rasterio.open(tmp_path / "maps/place/classes.tif") as classes:
        assert "THRESHOLD" not in classes.tags()


def test_maps_of_another_version_are_refused_in_one_line(scenes, tmp_path, capsys):
    map_scenes(capsys, scenes, tmp_path / "maps")
    path = tmp_path / "maps/place/manifest.json"
    write_json(path, read_json(path) | {"format": 5})
    with pytest.raises(DatasetError, match=r"another version of swath \(format 5, expected \d+\)"):
        read_maps(tmp_path / "maps")[0].threshold  # noqa: B018
    assert swath(["update", str(tmp_path / "maps"), str(scenes[0])]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.endswith("map the site again with swath map --overwrite")


def test_another_threshold_makes_the_classes_anew_and_keeps_the_pmaps(scenes, tmp_path, capsys):
    out = tmp_path / "maps"
    map_scenes(capsys, scenes, out)
    status, error = map_scenes(capsys, scenes, out, "--threshold", "0.5")
    assert status == 2
    assert "--resume" in error
    _, made = map_scenes(capsys, scenes, out, "--threshold", "0.5", "--resume")
    assert made["threshold"] == 0.5
    assert "classes.tif" in made["made"]
    assert not [name for name in made["made"] if name.startswith("pmap_")]


@pytest.mark.parametrize("text", ["1", "-0.1", "best", "nan"])
def test_a_threshold_that_is_none(scenes, tmp_path, capsys, text):
    status, error = map_scenes(capsys, scenes, tmp_path / "maps", "--threshold", text)
    assert status == 2
    assert f"--threshold must be scene or a number from 0 to below 1, got '{text}'" in error
    assert not (tmp_path / "maps").exists()

"""What is done about a shift: the advice of `swath labels check`, and `shift_m`."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from conftest import SceneWriter
from support.label_worlds import write_label_world
from swath.audit.check import check_site
from swath.cli import run
from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.site import read_labels
from swath.errors import SettingsError
from swath.sites.schema import read_sites_file


@pytest.mark.data
def test_moved_images_of_a_real_city_lie_under_the_labels(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    city = data_dir / "real/cities/valencia"

    def check(scenes: list[dict[str, object]], name: str) -> dict[str, Any]:
        sites = {
            "legend": "roads",
            "attribution": "test",
            "sites": {
                "valencia": {
                    "scenes": scenes,
                    "labels": str(city / "roads.geojson"),
                    "coverage": str(city / "coverage.geojson"),
                    "split": "train",
                }
            },
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(sites), "utf-8")
        built = tmp_path / name
        assert run(["build", str(tmp_path / f"{name}.yaml"), "--out", str(built)]) == 0
        capsys.readouterr()
        assert run(["labels", "check", str(built), "--json"]) == 0
        (site,) = json.loads(capsys.readouterr().out)["sites"]
        return dict(site)

    before = check([{"path": str(city / "*.tif")}], "before")
    assert any("the dates lie up to" in text for text in before["warnings"])
    moves = before["scene_shift_m"]
    after = check([{"path": str(city / f"{day}.tif"), "shift_m": by} for day, by in moves.items()], "after")
    left = [shift[way] for shift in after["shift_px_by_date"].values() for way in ("east", "south")]
    assert np.abs(left).max() < 0.15
    assert not [text for text in after["warnings"] if "apart" in text or "misaligned" in text]
    # What is applied is in the next advice.
    for day, by in after["scene_shift_m"].items():
        assert by == pytest.approx(moves[day], abs=1.5)


def test_the_printed_line_mends_the_dataset(
    tmp_path: Path, write_scene: SceneWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = write_label_world(
        tmp_path / "in", write_scene, offset_m=(13.0, -8.0), labels_date=dt.date(2024, 1, 1)
    )
    assert run(["build", str(sites), "--out", str(tmp_path / "data")]) == 0
    capsys.readouterr()
    out = tmp_path / "check"
    assert run(["labels", "check", str(tmp_path / "data"), "--out", str(out), "--json"]) == 0
    (site,) = json.loads(capsys.readouterr().out)["sites"]
    east, north = site["shift_m"]
    assert (east, north) == pytest.approx((-13.0, 8.0), abs=1.5)
    assert any(text.startswith("misaligned") for text in site["warnings"])
    assert any(text.startswith("stale") for text in site["warnings"])
    assert site["labels_date"] == "2024-01-01"
    assert json.loads((out / "check.json").read_text("utf-8"))["sites"] == [site]
    assert (out / "here.png").read_bytes()[:4] == b"\x89PNG"

    assert run(["labels", "check", str(tmp_path / "data")]) == 0
    (line,) = [x.strip() for x in capsys.readouterr().out.splitlines() if "shift_m:" in x]
    settings = yaml.safe_load(sites.read_text("utf-8"))
    settings["sites"]["here"] |= yaml.safe_load(line)
    sites.write_text(yaml.safe_dump(settings), encoding="utf-8")
    dataset = build_dataset(sites, tmp_path / "mended")
    assert dataset.sites[0].shift_m == (east, north)
    assert read_dataset(tmp_path / "mended").sites[0] == dataset.sites[0]
    mended = check_site(dataset.sites[0], dataset.legend)
    assert not mended.misaligned
    assert mended.shift is not None
    assert mended.shift.length < 0.2


def test_a_shift_moves_vectors_and_labels_and_brings_in_what_lay_outside(
    tmp_path: Path, write_scene: SceneWriter
) -> None:
    plain = build_dataset(write_label_world(tmp_path / "a", write_scene), tmp_path / "plain")
    # Vectors 30 m west of the truth, moved 30 m east again: the same labels up to the edge.
    sites = write_label_world(tmp_path / "b", write_scene, offset_m=(-30.0, 0.0), shift_m=[30.0, 0.0])
    moved = build_dataset(sites, tmp_path / "moved")
    labels, expected = read_labels(moved.sites[0]), read_labels(plain.sites[0])
    # A line that is cut elsewhere is drawn a pixel differently here and there.
    assert (labels != expected).mean() < 0.005
    assert (labels != np.roll(expected, -3, axis=1)).mean() > 0.05
    # The westernmost columns come from vectors that lay outside the grid.
    assert expected[:, :3].any()
    assert (labels[:, :3] != expected[:, :3]).mean() < 0.02
    assert moved.sites[0].shift_m == (30.0, 0.0)
    assert plain.sites[0].shift_m == (0.0, 0.0)


def test_a_wild_shift_is_refused(tmp_path: Path, write_scene: SceneWriter) -> None:
    sites = write_label_world(tmp_path, write_scene, shift_m=[5000.0, 0.0])
    with pytest.raises(SettingsError, match="shift_m"):
        read_sites_file(sites)

"""All the files of a site, the STAC item among them, and the command that makes them."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio.shutil
import shapely
import torch
from affine import Affine

from support.saved_runs import save_run
from swath.cli import run as swath
from swath.dataset.site import Dataset, read_image
from swath.errors import DatasetError, ModelError, OutputExistsError
from swath.grid import Grid, Window
from swath.legend import read_legend
from swath.mapping.options import MapOptions
from swath.mapping.predict import Predictor
from swath.mapping.sources import check_images, scene_series, select_sites, site_series
from swath.mapping.stages import map_site
from swath.maps.images import image_paths
from swath.maps.sitemaps import read_grid, read_maps, read_pmap
from swath.models.head import complementary
from swath.models.trained import load_model
from swath.outfolder import Kind, check_out
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings, valid_mask

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (60, 80))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    splits = {"train": ["sim_test"], "validation": [], "test": ["sim_train"]}  # not the catalog's
    save_run(folder, splits)
    return folder


@pytest.fixture(scope="module")
def maps_folder(run_folder: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("maps")
    arguments = ["map", run_folder, "--dataset", dataset.root, "--split", "all", "--out", out]
    assert swath([*map(str, arguments), "--precision", "fp32", "--tile", "64"]) == 0
    return out


@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_a_pmap_of_other_numbers_is_shown_as_it_was(maps_folder: Path, tmp_path: Path, kind: str) -> None:
    pmap = read_maps(maps_folder)[0].fused_path
    rasterio.shutil.copy(pmap, tmp_path / "same.tif")
    with (
        rasterio.open(pmap) as source,
        rasterio.open(
            tmp_path / "other.tif", "w", **{**source.profile, "driver": "GTiff", "dtype": kind}
        ) as target,
    ):
        target.update_tags(**source.tags())
        target.write(source.read().astype(kind))
    for name in ("same", "other"):
        assert swath(["show", str(tmp_path / f"{name}.tif"), "--out", str(tmp_path / f"{name}.png")]) == 0
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_maps_read_back(maps_folder: Path, dataset: Dataset) -> None:
    found = read_maps(maps_folder)
    assert [maps.site for maps in found] == sorted(site.name for site in dataset.sites)
    maps = found[0]
    site = dataset.site(maps.site)
    assert maps.folder == maps_folder / site.name
    assert maps.dates == site.dates
    assert maps.legend == read_legend("roads")
    assert (maps.model, maps.fusion) == ("unet-convlstm", "convlstm")
    assert maps.splits["test"] == ("sim_train",)
    assert maps.attribution.startswith(dataset.attribution)
    assert "OpenStreetMap" in maps.attribution
    rasters = (*maps.raster_paths, *image_paths(maps).values())
    assert len(rasters) == 2 + 3 + 2  # PMaps, fused and images
    expected = {path.name for path in (*rasters, maps.gpkg_path, maps.parquet_path)}
    expected |= {path.with_suffix(".qml").name for path in rasters}
    assert {path.name for path in maps.folder.iterdir()} == expected | {
        ".swath",
        "item.json",
        "manifest.json",
        "site.qgz",
    }
    assert read_grid(maps.fused_path) == site.grid


def test_a_map_of_fewer_dates_than_there_are_says_so(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_run(tmp_path / "run", {}, dates=1)
    command = ["map", tmp_path / "run", "--dataset", dataset.root, "--out", tmp_path / "maps", "--no-page"]
    assert swath([*map(str, command), "--split", "train"]) == 0
    said = capsys.readouterr().out
    assert "  1 of 2 dates (as many as the run learnt from; --date takes others); " in said
    day = dataset.site("sim_train").dates[-1]
    assert swath([*map(str, command), "--split", "train", "--date", str(day), "--overwrite"]) == 0
    assert "  1 date; " in capsys.readouterr().out  # a date that was named is not told of


def test_the_maps_are_the_networks_outputs(maps_folder: Path, dataset: Dataset, run_folder: Path) -> None:
    model = load_model(run_folder)
    site = dataset.site("sim_test")
    maps = read_maps(maps_folder)[0]
    assert maps.site == "sim_test"
    image = read_image(site.acquisitions[1])
    with torch.inference_mode():
        scaled = torch.from_numpy(model.spec.scaling.apply(image))[None]
        known = torch.from_numpy(valid_mask(image))[None]
        expected = torch.sigmoid(model.fcn(scaled, known))[0].numpy()
    pmap, valid = read_pmap(maps.pmap_path(site.dates[1]))
    shares = expected / expected.sum(axis=0)
    np.testing.assert_allclose(pmap[:, valid], shares[:, valid], atol=0.5 / 254 + 1e-5)


def test_the_fused_map_is_made_from_the_stored_dates(maps_folder: Path, run_folder: Path) -> None:
    # So that a date which is added later finds just what it would have found at once.
    maps = read_maps(maps_folder)[0]
    stored = [read_pmap(maps.pmap_path(date)) for date in maps.dates]
    fusion = load_model(run_folder).fusion
    assert fusion is not None
    with torch.inference_mode():
        pmaps, known = (torch.from_numpy(np.stack(part))[None] for part in zip(*stored, strict=True))
        expected = complementary(torch.sigmoid(fusion(pmaps, known)))[0]
    fused, valid = read_pmap(maps.fused_path)
    error = np.abs(fused - expected.numpy())[:, valid]
    assert error.max() <= 0.5 / 254 + 1e-5


def test_a_plan_of_a_dataset(
    dataset: Dataset, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--dataset", str(dataset.root), "--split", "all"]
    assert swath(["plan", str(run_folder), *data, "--tile", "64", "--json"]) == 0
    sites = json.loads(capsys.readouterr().out)["sites"]
    assert [site["site"] for site in sites] == [site.name for site in dataset.sites]
    assert {(site["dates"], site["tiles"]) for site in sites} == {(2, 4)}
    # Windows of windows still show the same ground.
    source = site_series(dataset.sites[0], dataset, 1, []).sources[0]
    inner = source.crop(Window(10, 20, 60, 60)).crop(Window(1, 2, 30, 30)).prepare(tmp_path)
    expected = source.prepare(tmp_path).read(Window(11, 22, 30, 30))
    np.testing.assert_array_equal(inner.read(Window(0, 0, 30, 30)), expected)


def test_the_item_is_stac_with_the_model(maps_folder: Path, run_folder: Path) -> None:
    maps = read_maps(maps_folder)[0]
    item = pystac.Item.from_file(str(maps.item_path))
    assert item.datetime is None
    assert item.common_metadata.start_datetime is not None
    assert item.common_metadata.start_datetime.date() == maps.dates[0]
    footprint = shapely.geometry.shape(item.geometry)
    assert footprint.is_valid
    assert footprint.bounds == pytest.approx(item.bbox, abs=1e-6)
    for asset in item.assets.values():
        href = asset.get_absolute_href()
        assert href is not None
        assert Path(href).is_file()
    # Required by the MLM extension.
    required = {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"}
    assert required <= item.properties.keys()
    (model,) = [a for a in item.assets.values() if a.roles and "mlm:model" in a.roles]
    assert Path(model.get_absolute_href() or "").resolve() == run_folder / "model.safetensors"
    assert model.extra_fields["mlm:artifact_type"] == "safetensors"
    assert model.extra_fields["file:checksum"] == "1220" + maps.model_sha256
    assert item.properties["mlm:output"][0]["result"]["shape"] == [-1, 2, -1, -1]
    assert item.properties["swath:dates"] == [str(date) for date in maps.dates]
    assert (
        item.properties["mlm:input"][0]["value_scaling"]
        == [{"type": "z-score", "mean": 100.0, "stddev": 50.0}] * 3
    )
    mlm = pytest.importorskip("pystac.extensions.mlm")
    extended = mlm.MLMExtension.ext(item)
    assert extended.input[0].bands == ["B04", "B03", "B02"]
    assert [c.name for c in extended.output[0].classes] == ["background", "road"]


def test_reading_maps_that_are_not_there(tmp_path: Path, maps_folder: Path) -> None:
    with pytest.raises(DatasetError, match="holds no maps"):
        read_maps(tmp_path)
    site = tmp_path / "maps" / "x"
    site.mkdir(parents=True)
    (site / "item.json").write_text("{}")
    with pytest.raises(DatasetError, match="not a STAC item"):
        read_maps(tmp_path / "maps")
    (site / "item.json").write_text('{"properties": {"swath:site": "x"}}')
    with pytest.raises(DatasetError, match="not an item of swath map: swath:dates"):
        read_maps(tmp_path / "maps")
    whole = read_maps(maps_folder)[0].item_path.read_text()
    (site / "item.json").write_text(whole)
    with pytest.raises(DatasetError, match=r"lacks pmap_.*classes\.tif.*; run swath map again"):
        read_maps(tmp_path / "maps")
    with pytest.raises(DatasetError, match=r"has no map of 1\.2\.2020; its dates are"):
        read_maps(maps_folder)[0].pmap("1.2.2020")
    with pytest.raises(DatasetError, match="has no map of 1999-01-01; its dates are"):
        read_maps(maps_folder)[0].pmap_path(dt.date(1999, 1, 1))


def test_sites_are_chosen_by_the_splits_of_the_run(run_folder: Path, dataset: Dataset) -> None:
    spec = load_model(run_folder).spec

    def names(split: Any, only: tuple[str, ...] = ()) -> list[str]:
        return [site.name for site in select_sites(dataset, spec, split, only)]

    assert names("test") == ["sim_train"]
    assert names("train") == ["sim_test"]
    # The run does not name this one: the catalog's word holds.
    assert names("validation") == ["sim_validation"]
    assert len(names(None)) == 3
    assert names(None, ("sim_test",)) == ["sim_test"]
    with pytest.raises(DatasetError, match="'sim_test' is not in the split 'test' of this run"):
        names("test", ("sim_test",))
    with pytest.raises(DatasetError, match="no site 'nowhere'"):
        names(None, ("nowhere",))


def test_dates_of_a_site(dataset: Dataset) -> None:
    site = dataset.sites[0]
    first, last = site.dates
    assert site_series(site, dataset, 1, []).dates == (last,)
    assert site_series(site, dataset, 5, []).dates == (first, last)
    assert site_series(site, dataset, 2, [first, first]).dates == (first,)
    with pytest.raises(DatasetError, match="has no acquisition of 1999-01-01"):
        site_series(site, dataset, 2, [dt.date(1999, 1, 1)])


def test_other_bands_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    image = ImageSettings(bands=("B02", "B03", "B04", "B08"), encoding="reflectance")
    scaling = Scaling(offset=(0.0,) * 4, scale=(1.0,) * 4)
    spec = save_run(tmp_path, {}, image=image, scaling=scaling).spec
    with pytest.raises(ModelError, match="but the model reads B02, B03, B04, B08 as reflectance"):
        check_images(dataset, spec)


def test_a_failure_leaves_nothing_and_other_sites_stay(
    dataset: Dataset, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(load_model(run_folder), "cpu")
    one, two = (site_series(site, dataset, 1, []) for site in dataset.sites[:2])
    map_site(predictor, run_folder, one, tmp_path)
    with pytest.raises(OutputExistsError, match="made from other images, another model or other settings"):
        map_site(predictor, run_folder, one, tmp_path, MapOptions(tile_px=32))
    before = (tmp_path / one.site / "item.json").stat().st_mtime_ns

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("swath.mapping.stages.write_item", fail)
        for series in (one, two):
            with pytest.raises(KeyboardInterrupt):
                map_site(predictor, run_folder, series, tmp_path, MapOptions(overwrite=True))
    # What was finished is kept for the next run, out of sight of whoever reads the maps.
    hidden = {f".work-{series.site}" for series in (one, two)}
    assert {path.name for path in tmp_path.iterdir()} == {one.site, *hidden}
    assert [maps.site for maps in read_maps(tmp_path)] == [one.site]
    assert (tmp_path / one.site / "item.json").stat().st_mtime_ns == before
    map_site(predictor, run_folder, two, tmp_path)
    assert len(read_maps(tmp_path)) == 2
    assert not (tmp_path / f".work-{two.site}").exists()


def write_degrees(write_scene: Any, folder: Path, grid: Grid, days: tuple[str, ...]) -> list[Path]:
    """Scenes in degrees, as those of the real cities are."""
    west, south, east, north = grid.lonlat_bounds
    step = 1e-4
    shape = (int((north - south) / step) + 1, int((east - west) / step) + 1)
    degrees = Grid("EPSG:4326", Affine(step, 0, west, 0, -step, north), shape)
    random = np.random.default_rng(1)
    return [
        write_scene(
            folder / f"{day}.tif",
            random.integers(500, 3000, (4, *shape)).astype(np.uint16),
            degrees,
            ("B02", "B03", "B04", "B08"),
        )
        for day in days
    ]


def test_scenes_of_any_grid_are_brought_onto_one(
    write_scene: Any, tmp_path: Path, run_folder: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    paths = write_degrees(write_scene, tmp_path / "rennes", GRID, ("2019-03-07", "20190710"))
    out = tmp_path / "maps"
    arguments = ["map", str(run_folder), *map(str, paths[::-1]), "--out", str(out)]
    assert swath([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (site,) = result["sites"]
    assert site["site"] == "rennes"
    assert site["dates"] == ["2019-03-07", "2019-07-10"]
    assert sum(site["class_share"].values()) == pytest.approx(1, abs=1e-5)
    assert all(Path(file).is_file() for file in site["files"])
    (maps,) = read_maps(out)
    grid = read_grid(maps.fused_path)
    assert (grid.crs, grid.resolution) == ("EPSG:32630", (10, 10))
    assert "Copernicus Sentinel data 2019" in maps.attribution
    # In which pieces the scenes are warped does not matter but for the rounding of GDAL's
    # approximate transform, 0.01 px.
    image = load_model(run_folder).spec.image
    scratch = [tmp_path / "a", tmp_path / "b"]
    pixels = []
    for folder, piece in zip(scratch, (1024, 32), strict=True):
        monkeypatch.setattr("swath.mapping.sources.PIECE_PX", piece)
        series = scene_series("x", paths, None, image)
        image_on_grid = series.sources[0].prepare(folder)
        pixels.append(image_on_grid.read(Window(0, 0, *series.grid.shape)))
    assert (pixels[0] != 0).mean() > 0.9
    assert np.abs(pixels[0].astype(int) - pixels[1]).mean() < 0.5


def test_scenes_on_one_metric_grid_are_not_resampled(write_scene: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    array = random.integers(1, 256, (3, *GRID.shape)).astype(np.uint8)
    bands = ("B04", "B03", "B02")
    path = write_scene(tmp_path / "2019-03-07.tif", array, GRID, bands)
    series = scene_series("x", [path], None, ImageSettings())
    assert series.grid == GRID
    image = series.sources[0].prepare(tmp_path / "scratch")
    assert (image.read(GRID.window) == array).all()


def test_an_image_without_data_is_told(
    write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = np.full((3, *GRID.shape), np.nan, np.float32)
    path = write_scene(tmp_path / "2019-03-07.tif", empty, GRID, ("B04", "B03", "B02"), nodata=None)
    scene_series("x", [path], None, ImageSettings()).sources[0].prepare(tmp_path / "scratch")
    assert capsys.readouterr().err.count(f"{path}: the image has no data inside the map's grid") == 1


def test_the_command_says_what_is_wrong(
    run_folder: Path, dataset: Dataset, maps_folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = ["--dataset", str(dataset.root)]
    scene = str(tmp_path / "2019-03-07.tif")

    def complaint(*arguments: str, run: Path = run_folder, out: Path = tmp_path / "o") -> str:
        assert swath(["map", str(run), *arguments, "--out", str(out)]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        return lines[0]

    assert "nothing to map with" in complaint()
    assert "either SCENES or --dataset, not both" in complaint(scene, *data)
    assert "gone: no such file or folder; give the images" in complaint(run=tmp_path / "gone")
    images = dataset.root / dataset.sites[0].name
    said = complaint(run=images)
    assert "is a folder, but no run (no model.json)" in said
    assert said.endswith(f"such as {images / '*.tif'}")
    assert "sim_train: no Sentinel-2 product; expected a .SAFE folder" in complaint(str(images))
    assert "gone.tif: no such file" in complaint(str(tmp_path / "gone.tif"))
    assert "--site and --date choose from a --dataset" in complaint(scene, "--site", "x")
    assert "--name, --bands, --mask and --level are for" in complaint(*data, "--name", "x")
    assert "no such file" in complaint(scene)
    assert "--name becomes a folder" in complaint(scene, "--name", "a/b")
    assert "no model.json here" in complaint(*data, run=tmp_path)
    assert "multiple of the network's stride" in complaint(*data, "--tile", "100")
    assert "exists already" in complaint(*data, out=maps_folder)
    assert "no acquisition of 1999-01-01" in complaint(*data, "--date", "1999-01-01")
    assert not (tmp_path / "o").exists()


def test_all_dates_are_judged_before_the_first_is_mapped(
    write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bands, out = ("B04", "B03", "B02"), tmp_path / "maps"
    random = np.random.default_rng(2).integers(300, 3000, (3, *GRID.shape))
    save_run(tmp_path / "run", {}, image=ImageSettings(encoding="reflectance"))
    good = write_scene(tmp_path / "2019-03-07.tif", random.astype("uint16"), GRID, bands)
    for name, image, words in (
        ("2019-03-08.tif", (random // 12).astype("uint8"), "an 8-bit image cannot give reflectance"),
        ("2019-03-09.tif", (random / 1e4).astype("float32"), "half of its pixels are at most 0"),
    ):
        bad = write_scene(tmp_path / name, image, GRID, bands)
        assert swath(["map", str(tmp_path / "run"), str(good), str(bad), "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
        assert not out.exists()


def test_a_block_that_breaks_off_late_leaves_what_is_finished_and_says_so(
    run_folder: Path, write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bands, grid = ("B04", "B03", "B02"), Grid(GRID.crs, GRID.transform, (512, 512))
    image = np.random.default_rng(2).integers(1, 256, (3, *grid.shape)).astype(np.uint8)
    paths = [write_scene(tmp_path / f"2019-03-0{day}.tif", image, grid, bands) for day in (7, 8)]
    rasterio.shutil.copy(paths[1], tmp_path / "small.tif", driver="GTiff", compress="deflate")
    whole = (tmp_path / "small.tif").read_bytes()
    out = tmp_path / "maps"
    command = ["map", str(run_folder), *map(str, paths), "--name", "x", "--out", str(out), "--no-page"]
    middle = len(whole) // 2
    paths[1].write_bytes(whole[:middle] + bytes(5000) + whole[middle + 5000 :])
    assert swath(command) == 2
    assert f"what is finished stays in {out / '.work-x'}" in capsys.readouterr().err
    with pytest.raises(OutputExistsError, match=r"holds \.work-x, unfinished maps"):
        check_out(out, Kind.DATASET, overwrite=True)
    paths[1].write_bytes(whole)
    assert swath(command) == 0
    assert [path.name for path in out.iterdir()] == ["x"]
    with pytest.raises(OutputExistsError, match="holds x, which swath made"):
        check_out(out, Kind.DATASET, overwrite=True)


def test_a_place_for_maps_that_is_no_folder_is_refused(
    run_folder: Path, write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = np.full((3, *GRID.shape), 90, np.uint8)
    scene = write_scene(tmp_path / "2019-03-07.tif", image, GRID, ("B04", "B03", "B02"))
    (tmp_path / "link").symlink_to("nowhere")
    for out in (tmp_path / "link", scene, Path("/dev/null"), scene / "maps"):
        assert swath(["map", str(run_folder), str(scene), "--out", str(out)]) == 2
        there = out.parent if out.name == "maps" else out
        assert f"{there} exists already and is no folder; choose another" in capsys.readouterr().err


def test_maps_are_read_without_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from swath.maps.sitemaps import read_maps, read_pmap; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_dataset_among_the_scenes_is_told(
    dataset: Dataset, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swath(["map", str(run_folder), str(dataset.root), "--out", str(tmp_path / "m")]) == 2
    assert "is a dataset, not an image" in capsys.readouterr().err

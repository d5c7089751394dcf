"""What `import swath` gives beside maps: the rooms' own functions, with paths as text if wanted."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset
from swath.errors import Remedy, SettingsError
from swath.extras import need_extras, optional_import
from swath.labels.source import LabelSettings
from swath.mapping.request import find_model
from swath.maps.maps import Maps, open_maps
from swath.models.starter import STARTER_NAME
from swath.models.trained import TrainedModel
from swath.sentinel2 import Encoding
from swath.workers import HERE, Workers

if TYPE_CHECKING:
    import datetime as dt

    import geopandas as gpd

    from swath.conflation.conflate import Conflation
    from swath.evaluation.report import Report
    from swath.training.presets import TrainSettings


def open_dataset(folder: Path | str) -> Dataset:
    """Open what `build` made: the sites with their images and labels on one grid each.

    Args:
        folder: Of the dataset.

    Raises:
        DatasetError: No dataset there, or a file that it names is missing.

    Example:
        >>> import swath
        >>> dataset = swath.open_dataset("dataset")
        >>> [site.name for site in dataset.in_split("test")]
        ['sim_test']
    """
    return read_dataset(Path(folder))


def load_model(run: Path | str = STARTER_NAME) -> TrainedModel:
    """Load a trained model.

    Args:
        run: The folder that `train` wrote to; `starter`: the weights that come with swath.

    Raises:
        InputError: A file is missing or unreadable.
        ModelError: The files do not belong together, or are of another version.

    Example:
        >>> import swath
        >>> swath.load_model().spec.image.bands
        ('B04', 'B03', 'B02', 'B08')
    """
    return find_model(run)


def build(
    sites_file: Path | str,
    out: Path | str,
    *,
    bands: tuple[str, ...] | None = None,
    encoding: Encoding | None = None,
    overwrite: bool = False,
    workers: Workers = HERE,
) -> Dataset:
    """Bring the images and labels of every site onto one grid, and catalogue them.

    Args:
        sites_file: SITES.yaml; paths in it are relative to it.
        out: The dataset's folder.
        bands: Names of the bands, in place of the sites file's.
        encoding: In place of the sites file's.
        overwrite: Whether an existing folder may be replaced.
        workers: Who builds the sites.

    Raises:
        SettingsError: The sites file is wrong.
        InputError: An image or a vector file is missing, unreadable, or does not fit.
        OutputExistsError: `out` exists and `overwrite` is False.

    Example:
        >>> import swath
        >>> dataset = swath.build("sites.yaml", "built")
        >>> len(dataset.sites), dataset.legend.names
        (3, ('background', 'road'))
    """
    return build_dataset(
        Path(sites_file),
        Path(out),
        bands=bands,
        encoding=encoding,
        overwrite=overwrite,
        workers=workers,
    )


def fetch(
    sites_file: Path | str,
    out: Path | str,
    *,
    replan: bool = False,
    credentials: Path | str | None = None,
) -> Path:
    """Search a STAC API, choose clear dates far apart in the year, and fetch them.

    Labels that name an Overpass server are fetched, too, as OpenStreetMap of their day. What is
    there already is not fetched again; a fetch that was broken off goes on.

    Args:
        sites_file: SITES.yaml: the places, with bounds and `fetch:`.
        out: Where the images go.
        replan: Choose the dates anew, even if `out` holds a plan.
        credentials: YAML file with token, or username and password; mode 600.

    Returns:
        The new sites file, ready for `build`.

    Raises:
        SettingsError: The sites file is wrong.
        InputError: There are not enough dates.
        RemoteError: A server refuses, or does not recover.
        MissingExtraError: Without the extra `fetch`.

    Example:
        >>> import swath
        >>> swath.fetch("wishes.yaml", "fetched").as_posix()
        'fetched/sites.yaml'
    """
    from swath.retrieval.credentials import read_credentials
    from swath.retrieval.fetchfolder import fetch_folder
    from swath.retrieval.handover import SITES
    from swath.sites.schema import read_sites_file

    secrets = read_credentials(None if credentials is None else Path(credentials))
    path = Path(sites_file)
    fetch_folder(read_sites_file(path), path.parent, Path(out), secrets, replan=replan)
    return Path(out) / SITES


def train(
    dataset: Dataset | Path | str,
    out: Path | str,
    settings: "TrainSettings | Literal['paper', 'best', 'demo']" = "best",
    *,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
) -> TrainedModel:
    """Train the U-Net, then the fusion of dates on its frozen probability maps.

    Args:
        dataset: The images and labels, with their splits; or their folder.
        out: The run's folder.
        settings: A preset's name, or what decides a training
            (`swath.training.presets.TrainSettings`).
        seed: The same seed on the same machine gives the same weights.
        device: `auto`, `cpu` or `cuda`.
        resume: Go on with what is in `out`.
        overwrite: Replace the run in `out`, which stays until the new one is whole.

    Raises:
        MissingExtraError: Without the extra `train`.
        DatasetError: The dataset lacks a split, labels or dates.
        SettingsError: `resume` with other settings, seed or data than the run began with.
        OutputExistsError: `out` holds something, and neither `resume` nor `overwrite` is set.

    Example:
        >>> import swath
        >>> model = swath.train("dataset", "trained", "demo")
        >>> swath.map_scenes("town/*.tif", model).only.model
        'unet-convlstm'
    """
    need_extras("train", "train")
    from swath.training.compute import Compute
    from swath.training.presets import preset
    from swath.training.train import train as train_run
    from swath.training.trainplan import TrainPlan

    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    values = preset(settings) if isinstance(settings, str) else settings
    plan = TrainPlan(data, values, seed=seed)
    model = train_run(plan, Path(out), Compute(device), resume=resume, overwrite=overwrite)
    return replace(model, folder=Path(out))


def evaluate(
    maps: Maps | Path | str,
    truth: Dataset | LabelSettings | Path | str,
    out: Path | str | None = None,
    *,
    overwrite: bool = False,
    seed: int = 0,
) -> "Report":
    """Score maps against labels, beside the controls.

    Args:
        maps: The maps, or their folder.
        truth: The dataset that was mapped, or its folder; or a GeoTIFF of class ids on the map's
            grid, 255 = ignore; or any other labels of one mapped site, as `LabelSettings`.
        out: Folder of the report: report.json and, with the extra `report`, report.html and the figures.
            None: only scores.
        overwrite: Whether an existing report may be replaced.
        seed: Of the resampling behind the intervals.

    Returns:
        The scores: of two classes `rows`, each of a model (`fused`, `dates`, a control, or one day),
        class, site and split, and `table()`, the pooled ones; of more classes `class_maps`, each with
        its confusion matrix. It shows itself as a table.

    Raises:
        DatasetError: No site of the dataset is mapped, or none has labels.
        OutputExistsError: `out` exists and `overwrite` is False.

    Example:
        >>> import swath
        >>> dataset = swath.open_dataset("dataset")
        >>> maps = swath.map_scenes(dataset, "run", out="dataset_maps")
        >>> report = swath.evaluate(maps, dataset)
        >>> [row.iou for row in report.rows if row.model == "all-background"][:1]
        [0.0]
    """
    from swath.evaluation import evaluate as scoring
    from swath.report.folder import check_report, write_report

    if out is not None:
        check_report(Path(out), overwrite=overwrite)
    folder = maps.folder if isinstance(maps, Maps) else Path(maps)
    if isinstance(truth, Dataset) or (not isinstance(truth, LabelSettings) and Path(truth).is_dir()):
        data = truth if isinstance(truth, Dataset) else open_dataset(truth)
        evaluation = scoring.evaluate(folder, data, seed=seed)
    else:
        labels = truth if isinstance(truth, LabelSettings) else LabelSettings(path=str(truth))
        evaluation = scoring.evaluate_labels(folder, labels, seed=seed)
    if out is not None:
        write_report(evaluation, Path(out), overwrite=overwrite)
    return evaluation.report


def conflate(
    maps: Maps | Path | str,
    osm: Path | str,
    out: Path | str | None = None,
    *,
    site: str | None = None,
    date: "dt.date | None" = None,
    overwrite: bool = False,
) -> "Conflation":
    """Lay the roads of a map beside OpenStreetMap's.

    Args:
        maps: The maps, or their folder.
        osm: OpenStreetMap there: any vector file or extract that `build` reads; with `date` an Overpass
            server, by its URL or name.
        out: Folder for mappers: candidates with OSM tags, task squares, a project file, and all three
            parts as a GeoPackage. None: only the parts.
        site: Which site, if there are several.
        date: The day whose OpenStreetMap Overpass is asked for.
        overwrite: Whether an existing folder may be replaced.

    Returns:
        `both`, `map_only` (the candidates, the best first) and `osm_only`, GeoDataFrames.

    Raises:
        DatasetError: No maps, or several sites and none is named.
        InputError: OpenStreetMap cannot be read, or has nothing there.
        OutputExistsError: `out` exists and `overwrite` is False.

    Example:
        >>> import swath
        >>> maps = swath.map_scenes(swath.open_dataset("dataset"), "run", out="mapped")
        >>> found = swath.conflate(maps, "sim_test/roads.geojson", "for-mappers", site="sim_test")
        >>> found.map_only.columns[0], found.both.crs == maps["sim_test"].grid.crs
        ('rank', True)
    """
    from swath.conflation.conflate import conflate_site
    from swath.conflation.tasks import write_conflation
    from swath.outfolder import Kind, check_out

    opened = maps if isinstance(maps, Maps) else open_maps(maps)
    if date is not None and Path(osm).exists():
        raise SettingsError(f"{osm} is a file, read as it is; a date is for an Overpass server")
    if date is None and "://" in str(osm):
        raise SettingsError(f"{osm} is an Overpass server, which needs a date", Remedy.DATE)
    reads = [opened.folder, *([Path(osm)] if date is None else [])]
    if out is not None:
        check_out(Path(out), Kind.CONFLATION, reads, overwrite=overwrite)
    chosen = opened.only if site is None else opened[site]
    source = LabelSettings(path=str(osm)) if date is None else LabelSettings(overpass=str(osm), date=date)
    found = conflate_site(chosen, source)
    if out is not None:
        write_conflation(found, chosen, Path(out), reads, overwrite=overwrite)
    return found


def changes(
    old: Maps | Path | str,
    new: Maps | Path | str | None,
    out: Path | str,
    *,
    before: str | None = None,
    after: str | None = None,
    site: str | None = None,
    min_dates: int = 2,
    overwrite: bool = False,
) -> "gpd.GeoDataFrame":
    """New and vanished roads between two maps of a place, or two groups of the dates of one.

    Args:
        old: The older maps, or their folder.
        new: The newer maps; None: `before` and `after` choose dates of `old`.
        out: The GeoPackage that is written: layer `roads`, and of land cover `changes` and `matrix`.
        before: The older dates: `YYYY-MM-DD`, or the first and the last with `..` between.
        after: The newer dates.
        site: Which site, if there are several.
        min_dates: How many dates must say so on either side, where there are as many.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The roads: `change` (`new`, `vanished`), `first_seen`, `last_seen`, `p_change`, `dates`, ...; see
        `swath.maps.roadchange.road_changes`.

    Raises:
        SettingsError: Neither newer maps nor both groups of dates, or both; or no dates.
        DatasetError: No maps, no such dates, or several sites and none is named.
        InputError: The classes differ, or `out` is no `.gpkg`.
        OutputExistsError: `out` exists and `overwrite` is False.

    Example:
        >>> import swath
        >>> days = swath.open_maps("maps").dates
        >>> roads = swath.changes("maps", None, "changes.gpkg", before=str(days[0]), after=str(days[-1]))
        >>> roads.columns[0]
        'change'
    """
    from swath.maps.compare import choose_sides, write_changes_of
    from swath.outfolder import making_file

    opened = [maps if isinstance(maps, Maps) else open_maps(maps) for maps in (old, new) if maps is not None]
    with making_file(Path(out), [maps.folder for maps in opened], overwrite=overwrite):
        chosen = [maps.only if site is None else maps[site] for maps in opened]
        with choose_sides(chosen[0], None if new is None else chosen[1], before, after) as sides:
            return write_changes_of(*sides, Path(out), min_dates=min_dates)


def export_onnx(run: TrainedModel | Path | str, out: Path | str, *, overwrite: bool = False) -> Path:
    """Write a run's networks as ONNX files, which need neither swath nor PyTorch.

    Each file is held against PyTorch by ONNX Runtime first; one that differs by more than 1e-4 is
    refused. See docs/export.md.

    Args:
        run: A model, or the folder that `train` wrote to; `starter`: the weights that come with swath.
        out: Folder for unet.onnx, fusion.onnx, qgis.onnx, README.md (the card) and item.json (STAC).
        overwrite: Whether an exported model there may be replaced.

    Returns:
        `out`.

    Raises:
        MissingExtraError: Without the extra `onnx`.
        ModelError: The model maps whole series, or a file would not do what PyTorch does.
        OutputExistsError: `out` exists and `overwrite` is False.

    Example:
        >>> import swath
        >>> swath.export_onnx("run", "exported").name
        'exported'
    """
    with optional_import("an export to ONNX", "onnx"):
        from swath.export.export import export_onnx as write_export
    write_export(find_model(run), Path(out), overwrite=overwrite)
    return Path(out)

"""What `import swath` gives beside maps: the rooms' own functions, with paths as text if wanted."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset
from swath.errors import optional_import
from swath.mapping.request import STARTER_NAME, find_model
from swath.maps.maps import Maps
from swath.models.trained import TrainedModel
from swath.sentinel2 import Encoding
from swath.workers import HERE, Workers

if TYPE_CHECKING:
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

    secrets = read_credentials(None if credentials is None else Path(credentials))
    fetch_folder(Path(sites_file), Path(out), secrets, replan=replan)
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
    with optional_import("train", "train"):
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
    truth: Dataset | Path | str,
    out: Path | str | None = None,
    *,
    overwrite: bool = False,
    seed: int = 0,
) -> "Report":
    """Score maps against labels, beside the controls.

    Args:
        maps: The maps, or their folder.
        truth: The dataset that was mapped, or its folder; or a GeoTIFF of class ids on the map's
            grid, 255 = ignore.
        out: Folder of the report: report.html, report.json and the figures. None: only scores.
        overwrite: Whether an existing report may be replaced.
        seed: Of the resampling behind the intervals.

    Returns:
        The scores: `rows`, each of a model (`fused`, `dates`, a control, or one day), class, site and
        split, and `table()`, the pooled ones. It shows itself as that table.

    Raises:
        DatasetError: No site of the dataset is mapped, or none has labels.
        MissingExtraError: A report is to be written without the extra `report`.
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
    if isinstance(truth, Dataset) or Path(truth).is_dir():
        data = truth if isinstance(truth, Dataset) else open_dataset(truth)
        evaluation = scoring.evaluate(folder, data, seed=seed)
    else:
        evaluation = scoring.evaluate_labels(folder, Path(truth), seed=seed)
    if out is not None:
        write_report(evaluation, Path(out), overwrite=overwrite)
    return evaluation.report


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

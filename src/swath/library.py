"""What `import swath` gives beside maps: datasets, models, trainings and their scores.

Each is a room's own function, with paths as text where that is handier.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset
from swath.errors import MissingExtraError
from swath.mapping.request import STARTER_NAME, find_model
from swath.maps.maps import Maps
from swath.models.trained import TrainedModel
from swath.sentinel2 import Encoding
from swath.workers import HERE, Workers

if TYPE_CHECKING:
    from swath.report.report import Report
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
        overwrite: Drop what is in `out`.

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
    try:
        from swath.training.presets import preset
        from swath.training.train import train as train_run
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", error.name or "pytorch-lightning", "train") from None
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    values = preset(settings) if isinstance(settings, str) else settings
    model = train_run(
        data, Path(out), values, seed=seed, device=device, resume=resume, overwrite=overwrite
    )
    return replace(model, folder=Path(out))


def evaluate(
    maps: Maps | Path | str,
    dataset: Dataset | Path | str,
    out: Path | str,
    *,
    overwrite: bool = False,
    seed: int = 0,
) -> "Report":
    """Score maps against the labels of a dataset, beside the controls, and write the report.

    Args:
        maps: The maps, or their folder.
        dataset: The dataset that was mapped, or its folder.
        out: Folder of the report: report.html, report.json and the figures.
        overwrite: Whether an existing report may be replaced.
        seed: Of the resampling behind the intervals.

    Raises:
        MissingExtraError: Without the extra `report`.
        DatasetError: No site of the dataset is mapped, or none has labels.
        OutputExistsError: `out` exists and `overwrite` is False.

    Example:
        >>> import swath
        >>> dataset = swath.open_dataset("dataset")
        >>> maps = swath.map_scenes(dataset, "run", out="dataset_maps")
        >>> report = swath.evaluate(maps, dataset, "report")
        >>> report.folder.name
        'report'
    """
    from swath.report.report import evaluate as evaluate_maps

    folder = maps.folder if isinstance(maps, Maps) else Path(maps)
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    return evaluate_maps(folder, data, Path(out), overwrite=overwrite, seed=seed)

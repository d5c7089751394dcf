"""`swath map`: from a trained model and images to maps."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from swath.cli import place as place_
from swath.cli.options import (
    DeviceOption,
    JobWorkersOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    SchedulerOption,
    split_names,
)
from swath.cli.output import counted, emit
from swath.errors import SettingsError

if TYPE_CHECKING:
    from swath.mapping.request import Request
    from swath.mapping.stages import MappedSite
    from swath.maps.manifest import Threshold
    from swath.maps.sitemaps import SiteMaps
    from swath.models.trained import TrainedModel
    from swath.workers import Workers

SplitChoice = Literal["train", "validation", "test", "all"]

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[RUN] [SCENES]...",
        help="RUN: a folder made by `swath train`; without one, the starter weights that come with "
        "swath. SCENES: images of one place, a date each: GeoTIFFs with YYYY-MM-DD in their names, "
        "or Sentinel-2 products (.SAFE folders or their zips).",
    ),
]
NameOption = Annotated[
    str | None, typer.Option(help="Name of the place; else that of the folder of SCENES, or of the AOI.")
]
BandsOption = Annotated[
    str | None,
    typer.Option(help="Bands of SCENES in file order (B02,B03,...), where they lack names."),
]
MaskOption = Annotated[
    str | None,
    typer.Option(
        help="What not to use of SCENES: a raster that is not 0 there ({date} in its path is "
        "each one's YYYY-MM-DD), or ukis-csmask, a model of clouds and shadows."
    ),
]
LevelOption = Annotated[
    Literal["L1C", "L2A"] | None,
    typer.Option(help="Level of SCENES for --mask ukis-csmask; products say their own."),
]
DatasetOption = Annotated[Path | None, typer.Option(help="Folder made by `swath build`, instead of SCENES.")]
SplitOption = Annotated[
    SplitChoice, typer.Option(help="Which sites of --dataset, as the run had split them.")
]
SiteOption = Annotated[
    list[str] | None, typer.Option(metavar="SITE", help="Only this site of the split. Repeatable.")
]
DateOption = Annotated[
    list[dt.datetime] | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="Map this date of --dataset, not the last ones. Repeatable.",
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"], typer.Option(help="auto: bf16 where the hardware has it.")
]
OrientationsOption = Annotated[
    Literal["1", "8"] | None,
    typer.Option(
        help="In how many orientations the network looks at every image. 8 (all turns and flips) "
        "is better and takes some eight times as long. If not given: as the run says.",
    ),
]
TileOption = Annotated[int, typer.Option(help="Largest side of a tile in px; more takes more memory.")]
ThresholdOption = Annotated[
    str,
    typer.Option(
        metavar="scene|NUMBER",
        help="Above which score a pixel is of the class, with two classes. scene: where the map's "
        "own scores lead one to expect the highest IoU; 0.5: where the class is the likelier one.",
    ),
]


PageOption = Annotated[
    bool,
    typer.Option(
        help="Write pictures of the images beside the maps (3 bytes a pixel and date at most), and "
        "index.html, the page that shows all."
    ),
]


@dataclass(frozen=True, slots=True)
class Arguments:
    """Which series a user wants mapped, as `map` and `plan` take it; `paths` is RUN and SCENES."""

    paths: list[Path]
    name: str | None
    bands: str | None
    mask: str | None
    level: Literal["L1C", "L2A"] | None
    dataset: Path | None
    split: SplitChoice
    site: list[str] | None
    date: list[dt.datetime] | None

    @property
    def run(self) -> Path | None:
        """The run, if one is given."""
        from swath.models.starter import is_run

        return self.paths[0] if self.paths and is_run(self.paths[0]) else None

    @property
    def scenes(self) -> list[Path]:
        """The images that are given."""
        return self.paths if self.run is None else self.paths[1:]

    def check(self, command: str, *, place: bool = False) -> None:
        """Raise `SettingsError` where options contradict each other; `place`: one is given to be mapped."""
        if place:
            if self.dataset is not None or self.scenes:
                raise SettingsError(f"{command} takes either SCENES, a place or --dataset")
            if self.site or self.date or self.bands or self.mask or self.level:
                raise SettingsError("--site, --date, --bands, --mask and --level are not for a place")
            return
        if self.dataset is None and not self.scenes:
            raise SettingsError(f"{command}: {self._nothing_to_map()}")
        if self.dataset is not None and self.scenes:
            raise SettingsError(f"{command} takes either SCENES or --dataset, not both")
        if self.scenes and (self.site or self.date):
            raise SettingsError("--site and --date choose from a --dataset; SCENES are all mapped")
        if self.dataset is not None and (self.name or self.bands or self.mask or self.level):
            raise SettingsError("--name, --bands, --mask and --level are for SCENES; a dataset has its own")

    def _nothing_to_map(self) -> str:
        """Why there are no images, and what to do."""
        run, advice = self.run, "give the images of one place (SCENES), a place by --bbox, or --dataset"
        if run is None:
            return f"nothing to map; {advice}"
        if not run.is_dir():
            return f"{run}: no such file or folder; {advice}"

        from swath.models.trained import SPEC

        if (run / SPEC).is_file():
            return f"nothing to map with {run}; {advice}"
        return f"{run} is a folder, but no run (no {SPEC}); {advice}, such as {run / '*.tif'}"

    def request(self, workers: "Workers") -> "Request":
        """What is to be mapped, by workers who must find a dataset."""
        from swath.mapping.request import Request
        from swath.names import SITE_NAME

        if self.dataset is not None:
            from swath.dataset.catalog import read_dataset

            days = [day.date() for day in self.date or ()]
            dataset = read_dataset(workers.locate(self.dataset))
            return Request(dataset, dates=days, split=self.split, sites=self.site or ())
        if self.name is not None and not SITE_NAME.fullmatch(self.name):
            raise SettingsError(f"--name becomes a folder: letters, digits, _ and -; got {self.name!r}")
        bands = split_names(self.bands)
        return Request(self.scenes, self.name, bands, self.mask, self.level)


def load_run(run: Path | None) -> "tuple[Path, TrainedModel]":
    """A run's folder and its model; the starter's, said on stderr, where no run is given."""
    from swath.models.starter import STARTER
    from swath.models.trained import load_model
    from swath.progress import tell

    if run is None:
        run = STARTER
        tell("no RUN given: starter weights (or your own: swath map RUN ...)")
    return run, load_model(run)


def command(
    out: OutOption,
    paths: PathsArgument = None,
    name: NameOption = None,
    bands: BandsOption = None,
    mask: MaskOption = None,
    level: LevelOption = None,
    dataset: DatasetOption = None,
    split: SplitOption = "test",
    site: SiteOption = None,
    date: DateOption = None,
    bbox: place_.BboxOption = None,
    aoi: place_.AoiOption = None,
    between: place_.BetweenOption = None,
    dates: place_.DatesOption = None,
    max_cloud: place_.MaxCloudOption = None,
    api: place_.ApiOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    orientations: OrientationsOption = None,
    tile: TileOption = 1024,
    threshold: ThresholdOption = "scene",
    unit_ha: Annotated[
        float,
        typer.Option(min=0, max=10_000, help="Land cover: smaller areas become part of a neighbour."),
    ] = 0.1,
    workers: JobWorkersOption = None,
    scheduler: SchedulerOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Bring the maps in --out up to date: redo only what depends on an image, a model "
            "or a setting that differs.",
        ),
    ] = False,
    page: PageOption = True,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Map SCENES, a place, or the sites of a dataset: probabilities, classes, vectors.

    A place (--bbox, --aoi) is searched in a STAC API; its images are fetched into the folder images
    of --out. Of what lies there already nothing is fetched again.

    If it is stopped or killed, the same command goes on where it was, with the same result.
    """
    arguments = Arguments(paths or [], name, bands, mask, level, dataset, split, site, date)
    place = place_.PlaceArguments(bbox, aoi, between, dates, max_cloud, api)
    place.check()
    arguments.check("swath map", place=place.given)

    above = read_threshold(threshold)
    # Before torch is loaded: without a network it says so at once.
    request = _fetched(place, arguments, out) if place.given else None

    from swath.mapping.options import MapOptions
    from swath.mapping.request import map_request
    from swath.workers import Workers

    options = MapOptions(
        device,
        precision,
        read_orientations(orientations),
        tile,
        above,
        Workers.choose(workers, scheduler),
        resume,
        overwrite,
        unit_ha,
    )
    _, model = load_run(arguments.run)
    request = request or arguments.request(options.workers)
    done = map_request(request, model, out, options)
    shown = _publish(out, request, model) if page else None
    emit(
        {
            "maps": str(out),
            "page": None if shown is None else str(shown),
            "sites": [report(mapped) for mapped in done],
        },
        as_json,
        [
            *(text for mapped in done for text in lines(mapped, _given(request, mapped.maps.site))),
            f"maps: {out}",
            *([f"page: {shown}"] if shown else []),
        ],
    )


def _fetched(place: place_.PlaceArguments, arguments: Arguments, out: Path) -> "Request":
    """Fetch a place's images; give what is to be mapped: the place itself, without what lies around it."""
    from swath.models.starter import STARTER, read_spec

    fetched = place.fetch(arguments.name, read_spec(arguments.run or STARTER).image, out)
    from swath.mapping.request import Request

    (plan,) = fetched.plans
    return Request([image.path for image in fetched.images], plan.name, grid=plan.grid)


def _given(request: "Request", site: str) -> int:
    """How many dates of a dataset's site the model could choose from; 0: nothing was to choose."""
    from swath.dataset.site import Dataset

    free = isinstance(request.scenes, Dataset) and not request.dates
    return len(request.scenes.site(site).acquisitions) if free else 0  # type: ignore[union-attr]


def _publish(out: Path, request: "Request", model: "TrainedModel") -> Path:
    from swath.viewer.publish import publish

    return publish(out, request, model.spec)


def read_orientations(text: Literal["1", "8"] | None) -> Literal[1, 8] | None:
    """The value of --orientations as a number."""
    return None if text is None else 1 if text == "1" else 8


def read_threshold(text: str) -> "Threshold":
    """The value of --threshold; `SettingsError` if it is none."""
    if text == "scene":
        return "scene"
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise SettingsError(f"--threshold must be scene or a number from 0 to below 1, got {text!r}")
    return number


def report(mapped: "MappedSite") -> dict[str, object]:
    """What `--json` says of a site."""
    from swath.maps.vectors import line_km

    maps = mapped.maps
    files = [*maps.raster_paths, *maps.vector_paths, maps.item_path]
    return {
        "site": maps.site,
        "dates": [str(date) for date in maps.dates],
        "fusion": maps.fusion,
        "earlier": [str(date) for date in maps.earlier],
        "made": list(mapped.new_files),
        "files": [str(path) for path in files],
        "threshold": mapped.threshold,
        "line_km": {name: round(km, 3) for name, km in line_km(maps).items()},
        "class_km2": {name: round(km2, 4) for name, km2 in class_km2(maps).items()},
        "class_share": {name: round(share, 6) for name, share in mapped.class_share.items()},
        "seconds": round(mapped.seconds, 3),
        "stages_s": {stage: round(seconds, 3) for stage, seconds in mapped.stages.items()},
        "mpx_per_s": round(mapped.mpx_per_s, 4),
    }


def class_km2(maps: "SiteMaps") -> dict[str, float]:
    """Class -> how much of the map it has, in square kilometres."""
    from swath.maps.landcover import area_table

    table = area_table(maps)
    return dict(zip(table["class"], (table["area_ha"] / 100).tolist(), strict=True))


def lines(mapped: "MappedSite", given: int = 0) -> list[str]:
    """What is printed of a site, of which the model had so many dates to choose from (0: no choice)."""
    from swath.maps.sitemaps import FUSED_BY
    from swath.maps.vectors import line_km

    maps = mapped.maps
    km = ", ".join(f"{value:,.1f} km of {name}" for name, value in line_km(maps).items())
    cover = ", ".join(f"{name} {km2:,.2f} km2" for name, km2 in class_km2(maps).items())
    packages = [path for path in maps.vector_paths if path.suffix == ".gpkg"]
    if mapped.new_files:
        number = len(maps.dates)
        of = f"{number} of {given} dates (as many as the run learnt from; --date takes others)"
        made = of if given > number else counted(number, "date")
        made += f" fused by {FUSED_BY[maps.fusion]}" if number > 1 else ""
        made += f"; {mapped.seconds:.1f} s"
        made += f" ({mapped.mpx_per_s:.2f} Mpx/s)"
    else:
        made = "all maps are there already, made from the same"
    return [
        f"{maps.site}: {'; '.join(text for text in (km, cover if maps.legend.areas else '') if text)}",
        f"  {made}",
        f"  in QGIS: {' and '.join(str(path) for path in packages)} over {maps.fused_path}",
    ]

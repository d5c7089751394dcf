"""The options that name a place on the map in words of the command line: where, when, how many dates."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.options import split_names
from swath.errors import GridError, SettingsError

if TYPE_CHECKING:
    import datetime as dt

    from swath.retrieval.fetchfolder import FetchFolder
    from swath.sentinel2 import ImageSettings
    from swath.sites.schema import SitesFile

IMAGES = "images"
"""Folder in MAPS of the images that were fetched for it."""

BboxOption = Annotated[
    str | None,
    typer.Option(
        "--bbox",
        metavar="W,S,E,N",
        help="A place on the map: a box in degrees; W above E crosses the 180th meridian.",
    ),
]
AoiOption = Annotated[
    Path | None,
    typer.Option("--aoi", help="The same as the box around the features of a vector file (any usual kind)."),
]
BetweenOption = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--between",
        metavar="FIRST LAST",
        help="For --bbox and --aoi: days, months or years (2024-03 2024-10).",
    ),
]
DatesOption = Annotated[
    int | None,
    typer.Option("--dates", min=1, max=24, help="For --bbox and --aoi: how many clear dates; else 3."),
]
MaxCloudOption = Annotated[
    float | None,
    typer.Option(
        "--max-cloud",
        min=0,
        max=100,
        help="For --bbox and --aoi: percent of the place that may be clouded on a date; else 5.",
    ),
]
ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="API[,API...]",
        help="For --bbox and --aoi: STAC APIs to ask in turn until one serves: earth-search, "
        "planetary-computer (the two that are asked otherwise), copernicus, or URLs.",
    ),
]


@dataclass(frozen=True, slots=True)
class PlaceArguments:
    """What a user says of a place; see the options above."""

    bbox: str | None
    aoi: Path | None
    between: tuple[str, str] | None
    dates: int | None
    max_cloud: float | None
    api: str | None

    @property
    def given(self) -> bool:
        """Whether there is a place."""
        return self.bbox is not None or self.aoi is not None

    def check(self) -> None:
        """Raise `SettingsError` where options contradict each other, or one is missing."""
        if self.bbox is not None and self.aoi is not None:
            raise SettingsError("a place is given by --bbox or by --aoi, not both")
        more = (self.between, self.dates, self.max_cloud, self.api)
        if not self.given and any(value is not None for value in more):
            raise SettingsError("--between, --dates, --max-cloud and --api go with --bbox or --aoi")
        if self.given and self.between is None:
            raise SettingsError("a place needs its days, such as --between 2024-03 2024-10")

    def sites(self, name: str | None, image: "ImageSettings", osm: "dt.date | None" = None) -> "SitesFile":
        """The place as a sites file would say it."""
        from swath.labels.source import LabelSettings
        from swath.retrieval.place import Place, check_wanted, parse_box, parse_days

        assert self.between is not None, "checked"
        start, end = parse_days(*self.between)
        wanted = check_wanted(
            start=start,
            end=end,
            dates=self.dates,
            max_cloud=self.max_cloud,
            api=split_names(self.api),
        )
        try:
            if self.aoi is not None:
                place = Place.around_features(self.aoi, name)
            else:
                place = Place.of_box(parse_box(self.bbox or ""), name)
        except GridError as error:
            raise GridError(f"{self.aoi or '--bbox'}: {error}") from None
        labels = None if osm is None else LabelSettings(overpass="main", date=osm)
        return place.as_sites(wanted, image, labels)

    def fetch(self, name: str | None, image: "ImageSettings", maps: Path) -> "FetchFolder":
        """Fetch the images for maps of the place, into a folder of theirs, and say so."""
        from swath.progress import tell
        from swath.retrieval.credentials import read_credentials
        from swath.retrieval.fetchfolder import fetch_folder

        settings, folder = self.sites(name, image), maps / IMAGES
        if IMAGES in settings.sites:
            raise SettingsError(f"the place cannot be called {IMAGES!r}: its images lie there; give --name")
        fetched = fetch_folder(settings, Path(), folder, read_credentials())
        for plan in fetched.plans:
            tell(f"{plan.name}: {plan.collection} at {plan.api}")
            for pick in plan.choice.picks:
                tell(f"  {pick.date}  {pick.overflight.id}: {pick.why}")
        fresh = sum(image.fresh for image in fetched.images)
        tell(f"images: {folder} ({fresh} fetched, {len(fetched.images) - fresh} were there)")
        return fetched

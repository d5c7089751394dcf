"""`swath build`: scenes and vectors become a dataset of aligned series and labels."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from swath.cli.options import (
    JobWorkersOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    SchedulerOption,
    split_names,
)
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.dataset.site import Site
    from swath.grid import Finer


def command(
    sites: Annotated[Path, typer.Argument(help="SITES.yaml: the places, their images and labels.")],
    out: OutOption,
    bands: Annotated[
        str | None,
        typer.Option("--bands", help="In place of the file's, with commas between: B04,B03,B02."),
    ] = None,
    encoding: Annotated[
        Literal["tci", "reflectance", "dos", "standardised"] | None,
        typer.Option("--encoding", help="Of the images, in place of the file's."),
    ] = None,
    finer: Annotated[
        int | None,
        typer.Option(
            "--finer",
            help="Label pixels to the side of an image pixel (1, 2 or 4), in place of the file's; "
            "2: maps of 5 m from images of 10 m.",
        ),
    ] = None,
    workers: JobWorkersOption = None,
    scheduler: SchedulerOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the images and labels of every site onto one grid, and catalogue them (STAC)."""
    from swath.dataset.build import build_dataset, class_shares
    from swath.dataset.site import read_labels
    from swath.workers import Workers

    crew = Workers.choose(workers, scheduler)
    dataset = build_dataset(
        sites,
        out,
        bands=split_names(bands),
        encoding=encoding,
        finer=_finer(finer),
        overwrite=overwrite,
        workers=crew,
    )
    rows = [_Row(site, *class_shares(read_labels(site), dataset.legend)) for site in dataset.sites]
    emit(
        {"dataset": str(out), "sites": [row.json() for row in rows]},
        as_json,
        [
            *(row.line() for row in rows),
            f"dataset: {out / 'catalog.json'}",
            f"next: swath train {out} --out RUN",
        ],
    )


def _finer(number: int | None) -> "Finer | None":
    match number:
        case None | 1 | 2 | 4:
            return number
    raise typer.BadParameter(f"labels can be 1, 2 or 4 times as fine as images, got {number}")


@dataclass(frozen=True, slots=True)
class _Row:
    """What is told of a site; `shares` of its labelled pixels by class, `ignored` of all."""

    site: "Site"
    shares: dict[str, float]
    ignored: float

    def json(self) -> dict[str, object]:
        site = self.site
        return {
            "name": site.name,
            "shape": list(site.grid.shape),
            "crs": site.grid.crs,
            "finer": site.finer,
            "dates": [str(date) for date in site.dates],
            "acquisitions": [
                {"date": str(a.date), **asdict(a.conditions), "masks": dict(a.masks)}
                for a in site.acquisitions
            ],
            "labels_date": None if site.labels_date is None else str(site.labels_date),
            "splits": list(site.splits),
            "class_share": self.shares,
            "ignore_share": self.ignored,
        }

    def line(self) -> str:
        site = self.site
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items())
        labels = f"labels of {site.labels_date or 'an unknown day'}"
        if site.finer > 1:
            labels += f", {site.map_grid.size_text}"
        return (
            f"{site.name}: {site.grid.size_text} in "
            f"{site.grid.crs.split('[')[0]}, {'+'.join(site.splits)}; "
            f"dates {', '.join(map(str, site.dates))}; {labels}; {shares} of the labelled; "
            f"ignored {self.ignored:.1%}"
        )

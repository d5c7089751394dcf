"""`swath build`: scenes and vectors become a dataset of aligned series and labels."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

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
        overwrite=overwrite,
        workers=crew,
    )
    rows: list[dict[str, Any]] = []
    for site in dataset.sites:
        shares, ignored = class_shares(read_labels(site), dataset.legend)
        rows.append(
            {
                "name": site.name,
                "shape": list(site.grid.shape),
                "crs": site.grid.crs,
                "dates": [str(date) for date in site.dates],
                "acquisitions": [
                    {"date": str(a.date), **asdict(a.conditions), "masks": dict(a.masks)}
                    for a in site.acquisitions
                ],
                "labels_date": None if site.labels_date is None else str(site.labels_date),
                "splits": list(site.splits),
                "class_share": shares,
                "ignore_share": ignored,
            }
        )
    emit(
        {"dataset": str(out), "sites": rows},
        as_json,
        [
            *(_line(row) for row in rows),
            f"dataset: {out / 'catalog.json'}",
            f"next: swath train {out} --out RUN",
        ],
    )


def _line(row: dict[str, Any]) -> str:
    height, width = row["shape"]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in row["class_share"].items())
    labels = f"labels of {row['labels_date']}" if row["labels_date"] else "labels of an unknown day"
    return (
        f"{row['name']}: {height} x {width} px in {row['crs'].split('[')[0]}, "
        f"{'+'.join(row['splits'])}; dates {', '.join(row['dates'])}; {labels}; "
        f"{shares} of the labelled; "
        f"ignored {row['ignore_share']:.1%}"
    )

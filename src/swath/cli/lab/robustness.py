"""`swath robustness`: what clouds, wrong orders, missing dates and shifts do to the maps."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli import map as map_
from swath.cli.options import DeviceOption, JsonOption, OutOption, OverwriteOption, SeedOption
from swath.cli.output import emit


def command(
    out: OutOption,
    dataset: Annotated[Path, typer.Option(help="Folder made by `swath build`.")],
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Folder made by `swath train`; else the starter weights."),
    ] = None,
    split: map_.SplitOption = "test",
    site: map_.SiteOption = None,
    date: map_.DateOption = None,
    device: DeviceOption = "auto",
    precision: map_.PrecisionOption = "auto",
    orientations: map_.OrientationsOption = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Disturb the series of a dataset, map them again, and say what it costs.

    Each site is mapped as it is, and then with a date under painted cloud, dates in another order,
    one date in place of all, a date missing, a date 1 px off. All maps are scored against the
    labels, beside the mean of the dates' maps.
    """
    from swath.dataset.catalog import read_dataset
    from swath.lab.stability.robustness import SeriesFinder, measure_robustness
    from swath.lab.stability.robustness_report import (
        Subject,
        robustness_report,
        robustness_text,
        write_robustness,
    )
    from swath.mapping.predict import Predictor
    from swath.mapping.sources import check_images, select_sites
    from swath.outfolder import Kind, check_out

    folder, model = map_.load_run(run)
    check_out(out, Kind.REPORT, [dataset, folder], overwrite=overwrite)
    data = read_dataset(dataset)
    check_images(data, model.spec)
    wanted = None if split == "all" else split
    sites = select_sites(data, model.spec, wanted, site or [])
    finder = SeriesFinder(data, model.spec.dates, tuple(day.date() for day in date or ()))
    lengths = sorted({len(finder(place).sources) for place in sites})
    for length in lengths:  # before the first site is mapped
        model.check_dates(length)
    predictor = Predictor(model, device, precision, map_.read_orientations(orientations))
    trials, edges = measure_robustness(predictor, data, sites, wanted, finder, seed)
    series = " or ".join(map(str, lengths))
    subject = Subject(
        model=model.spec.name,
        run=str(folder),
        dataset=str(dataset),
        split=split,
        class_name=data.legend.foreground[0].name,
        stands_on=f"{data.attribution or 'data without a stated source'}; T = {series}",
    )
    report = robustness_report(trials, edges, subject, seed)
    write_robustness(report, out, [dataset, folder], overwrite=overwrite)
    content = report.as_json()
    emit(
        {"report": str(out), **{key: content[key] for key in ("thresholds", "summary", "names")}},
        as_json,
        [robustness_text(report), f"report: {out}"],
    )

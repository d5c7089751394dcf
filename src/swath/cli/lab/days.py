"""`swath lab days`: further days of real places, made by changes that were fitted on real pairs."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import JsonOption, OutOption, OverwriteOption, SeedOption
from swath.cli.output import emit

app = typer.Typer(help="Make further days of real places.", rich_markup_mode=None)

SitesArgument = Annotated[Path, typer.Argument(metavar="SITES.yaml", help="As for `swath build`.")]


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    """Make further days of real places."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("fit", short_help="Measure how days differ, on pairs of real images.")
def fit(
    sites_file: SitesArgument,
    out: OutOption,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="Site not to look at. Repeatable.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how days differ, on pairs of real images; every site weighs alike."""
    from swath.lab.days.dayfiles import fit_sites

    fitted = fit_sites(sites_file, leave_out or (), out, overwrite=overwrite)
    result = {"fit": str(out), "places": list(fitted.places), "pairs": len(fitted.changes)}
    emit(
        result | {"shift_px": fitted.shift_px, "grain_px": fitted.grain_px},
        as_json,
        [
            f"{len(fitted.changes)} pairs of {len(fitted.places)} places; a day's shift "
            f"{fitted.shift_px:.2f} px, its grain {fitted.grain_px:.2f} px",
            f"next: swath lab days make {sites_file} --fit {out} --out FOLDER",
        ],
    )


@app.command("make", short_help="Make further days from the first two images of each site.")
def make(
    sites_file: SitesArgument,
    out: OutOption,
    fit_file: Annotated[Path, typer.Option("--fit", help="What `swath lab days fit` wrote.")],
    days: Annotated[int, typer.Option("--days", min=1, max=24, help="How many a site.")] = 1,
    site: Annotated[list[str] | None, typer.Option("--site", help="Only this site. Repeatable.")] = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make further days from the first two images of each site, with a sites file for `build`."""
    from swath.lab.days.dayfiles import make_sites, read_fit

    dates_of = make_sites(
        sites_file,
        read_fit(fit_file),
        out,
        count=days,
        names=site or (),
        seed=seed,
        overwrite=overwrite,
    )
    shown = {name: [str(date) for date in dates] for name, dates in dates_of.items()}
    emit(
        {"out": str(out), "sites_file": str(out / "sites.yaml"), "days": shown},
        as_json,
        [
            *(f"{name}: {', '.join(dates)}" for name, dates in shown.items()),
            f"next: swath build {out / 'sites.yaml'} --out DATASET",
        ],
    )

"""`swath update`: add a date to maps."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.map import lines, report
from swath.cli.options import DeviceOption, JsonOption, split_names
from swath.cli.output import counted, emit


def command(
    maps: Annotated[Path, typer.Argument(help="Folder made by `swath map`.")],
    scene: Annotated[Path, typer.Argument(help="The new image: as `swath map` takes them. One date.")],
    site: Annotated[
        str | None, typer.Option(help="Which site of MAPS; else the one where SCENE lies.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="The folder of the run that made MAPS; else where it was then."),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(help="Bands of SCENE in file order (B02,B03,...), where it lacks names."),
    ] = None,
    device: DeviceOption = "auto",
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=1024, help="Processes that map; each takes its own memory.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Add SCENE to MAPS: one pass of the U-Net, and the newest dates are fused again.

    The class map's changes go to changes.tif; the page of MAPS, if it has one, shows the date. If it
    is killed, the same command goes on.
    """
    from swath.mapping.options import MapOptions
    from swath.mapping.update import add_scene
    from swath.viewer.publish import publish_scene
    from swath.workers import Workers

    options = MapOptions(device, workers=Workers(workers))
    names = split_names(bands)
    date, done = add_scene(maps, scene, site=site, run=run, bands=names, options=options)
    publish_scene(done.maps, scene, run, names)
    changes = [change for change in done.maps.changes if done.new_files and change.date == date]
    result = report(done) | {
        "added": str(date) if done.new_files else None,
        "changes": [change.model_dump(mode="json") for change in changes],
    }
    changed = [
        f"{change.changed_px:,} of {counted(change.compared_px, 'pixel')} changed their class"
        for change in changes
    ]
    emit({"maps": str(maps), "sites": [result]}, as_json, [*lines(done), *changed, f"maps: {maps}"])

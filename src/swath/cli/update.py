"""`swath update`: add a date to maps."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.map import line, report
from swath.cli.options import DeviceOption, JsonOption, split_names
from swath.cli.output import emit


def command(
    maps: Annotated[Path, typer.Argument(help="Folder made by `swath map`.")],
    scene: Annotated[
        Path, typer.Argument(help="The new image: as `swath map` takes them. One date.")
    ],
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
        int, typer.Option("--workers", min=1, help="Processes that map; each takes its own memory.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Add SCENE to MAPS: one pass of the U-Net, and the newest dates are fused again.

    The class map's changes go to changes.tif. If it is killed, the same command goes on.
    """
    from swath.mapping.update import choose_site, find_run, load_predictor, update_site
    from swath.maps.sitemaps import read_maps
    from swath.scenes.scene import SceneSettings
    from swath.sites.series import find_scenes
    from swath.workers import Workers

    (new,) = find_scenes([SceneSettings(path=str(scene), bands=split_names(bands))], Path())
    existing = choose_site(read_maps(maps), new, site)
    home = find_run(existing, run)
    predictor = load_predictor(existing, home, device)
    done = update_site(existing, home, new, predictor, workers=Workers(workers))
    added = [change for change in done.maps.changes if done.made and change.date == new.date]
    result = report(done) | {
        "added": str(new.date) if done.made else None,
        "changes": [change.model_dump(mode="json") for change in added],
    }
    changed = [
        f"{change.changed_px} of {change.compared_px} pixels changed their class"
        for change in added
    ]
    emit({"maps": str(maps), "sites": [result]}, as_json, [line(done), *changed, f"maps: {maps}"])

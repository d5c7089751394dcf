"""`swath realism`: how far simulated images are from real ones."""

from pathlib import Path
from typing import Annotated, Any

import typer

from swath.cli.options import JsonOption, SeedOption
from swath.cli.output import emit


def command(
    simulated: Annotated[Path, typer.Argument(help="SITES.yaml of simulated places.")],
    real: Annotated[Path, typer.Argument(help="SITES.yaml of real places; labels may be missing.")],
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare simulated with real images: figures of both, and a two-sample test."""
    from swath.lab.realism.realism import measure_realism

    found = measure_realism(simulated, real, seed)
    emit(found, as_json, _lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    lines = ["mean (deviation from place to place)     simulated         real"]

    def row(name: str, *keys: str) -> None:
        pair = []
        for side in ("simulated", "real"):
            value: Any = found[side]
            for key in keys:
                value = value.get(key) if value else None
            pair.append("-" if value is None else f"{value[0]:.3f} ({value[1]:.3f})")
        lines.append(f"{name:36s} {pair[0]:>17s} {pair[1]:>17s}")

    for band in ("B02", "B03", "B04", "B08"):
        for quantile in ("0.05", "0.5", "0.95"):
            row(f"{band} reflectance, quantile {quantile}", "quantiles", band, quantile)
    for land in ("water", "vegetation", "mixed", "built or bare", "all"):
        for band in ("B04", "B08"):
            for what in ("correlation", "slope"):
                row(f"{band} {what} of dates, {land}", "between_dates", land, band, what)
    for band in ("B02", "B04", "B08"):
        row(f"{band} spectral slope", "spectrum", band, "slope")
        row(f"{band} fine detail, dB", "spectrum", band, "fine")
        row(f"{band} road contrast", "road_contrast", band, "contrast")
        row(f"{band} its change between dates", "road_contrast", band, "between_dates")
    test = found["test"]
    for label in ("texture", "all"):
        lines.append(
            f"told apart by {label}: accuracy {test[label]['accuracy']:.3f}, AUC "
            f"{test[label]['auc']:.3f}; by "
            + ", ".join(f"{name} ({gap:+.1f})" for name, _, gap in test[label]["important"][:6])
        )
    lines.append(f"real against real by texture: accuracy {test['real_against_real']:.3f}")
    return lines

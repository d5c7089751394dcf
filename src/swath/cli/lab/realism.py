"""`swath lab realism`: how far simulated images are from real ones."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.options import JsonOption, SeedOption
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.lab.realism.likeness import Likeness
    from swath.lab.realism.traits import Summary, Traits


def command(
    simulated: Annotated[Path, typer.Argument(help="SITES.yaml of simulated places.")],
    real: Annotated[Path, typer.Argument(help="SITES.yaml of real places; labels may be missing.")],
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare simulated with real images: figures of both, and a two-sample test."""
    from swath.lab.realism.likeness import measure_realism

    likeness = measure_realism(simulated, real, seed)
    emit(asdict(likeness), as_json, _lines(likeness))


def _lines(likeness: "Likeness") -> list[str]:
    lines = ["mean (deviation from place to place)     simulated         real"]
    real = _figures(likeness.real)
    for name, figure in _figures(likeness.simulated).items():
        lines.append(f"{name:36s} {_cell(figure):>17s} {_cell(real[name]):>17s}")
    test = likeness.test
    for label, told in (("texture", test.texture), ("all", test.all)):
        best = ", ".join(f"{name} ({gap:+.1f})" for name, _, gap in told.important[:6])
        lines.append(f"told apart by {label}: accuracy {told.accuracy:.3f}, AUC {told.auc:.3f}; by {best}")
    lines.append(f"real against real by texture: accuracy {test.real_against_real:.3f}")
    return lines


def _figures(side: "Traits") -> "dict[str, Summary]":
    """What the table shows of one kind of places, by the name of the row."""
    rows: dict[str, Summary] = {}
    for band in ("B02", "B03", "B04", "B08"):
        for quantile in ("0.05", "0.5", "0.95"):
            rows[f"{band} reflectance, quantile {quantile}"] = side.quantiles[band][quantile]
    for land in ("water", "vegetation", "mixed", "built or bare", "all"):
        for band in ("B04", "B08"):
            pairs = side.between_dates.get(land, {}).get(band)
            rows[f"{band} correlation of dates, {land}"] = pairs.correlation if pairs else None
            rows[f"{band} slope of dates, {land}"] = pairs.slope if pairs else None
    for band in ("B02", "B04", "B08"):
        roads = side.road_contrast[band] if side.road_contrast else None
        rows[f"{band} spectral slope"] = side.spectrum[band].slope
        rows[f"{band} fine detail, dB"] = side.spectrum[band].fine
        rows[f"{band} road contrast"] = roads.contrast if roads else None
        rows[f"{band} its change between dates"] = roads.between_dates if roads else None
    return rows


def _cell(figure: "Summary") -> str:
    return "-" if figure is None else f"{figure[0]:.3f} ({figure[1]:.3f})"

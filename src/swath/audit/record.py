"""check.json: what `swath labels check` says of every site, as it is written."""

import datetime as dt
from collections.abc import Sequence

from swath.audit.check import SiteCheck
from swath.audit.shift import Shift
from swath.schema import Written

Metres = tuple[float, float]
"""East and north."""


class ShiftRecord(Written):
    """A shift in pixels, with its standard errors; see `swath.audit.shift.Shift`."""

    east: float
    south: float
    east_error: float
    south_error: float
    significant: bool


class SiteRecord(Written):
    """A site; see `swath.audit.quality.SiteQuality`.

    Attributes:
        name: Of the site.
        splits: It has a part in.
        dates: Of its images, oldest first.
        labels_date: The day whose state the labels show.
        years_apart: From the nearest image to the labels.
        shift_px: How far labels must be moved; None where none was found.
        shift_px_by_date: The same on each date.
        applied_shift_m: What the build has moved the labels by.
        shift_m: What is to be written into the sites file; None where the labels lie well.
        scene_shift_m: The same for the scene of each date, to move images instead.
        completeness_at_least: Share of what looks like a labelled line that is labelled.
        completeness_interval: Its 95 % interval.
        class_share: Class name -> share of the labelled pixels.
        foreground_share: Of the labelled pixels.
        ignore_share: Of all pixels.
        empty_blocks: Share of the labelled blocks without foreground.
        warnings: A line each.
    """

    name: str
    splits: tuple[str, ...]
    dates: tuple[dt.date, ...]
    labels_date: dt.date | None
    years_apart: float | None
    shift_px: ShiftRecord | None
    shift_px_by_date: dict[dt.date, ShiftRecord | None]
    applied_shift_m: Metres
    shift_m: Metres | None
    scene_shift_m: dict[dt.date, Metres]
    completeness_at_least: float | None
    completeness_interval: tuple[float, float] | None
    class_share: dict[str, float]
    foreground_share: float
    ignore_share: float
    empty_blocks: float
    warnings: tuple[str, ...]


class CheckRecord(Written):
    """All sites of a dataset.

    Attributes:
        sites: In the order of the dataset.
        warnings: How many there are in all.
    """

    sites: tuple[SiteRecord, ...]
    warnings: int


def record_of(checks: Sequence[SiteCheck]) -> CheckRecord:
    """The checks of all sites as they are written."""
    return CheckRecord(
        sites=tuple(_site_record(check) for check in checks),
        warnings=sum(len(check.warnings) for check in checks),
    )


def _site_record(check: SiteCheck) -> SiteRecord:
    quality, whole = check.quality, check.quality.completeness
    return SiteRecord(
        name=quality.site,
        splits=check.site.splits,
        dates=quality.dates,
        labels_date=quality.labels_date,
        years_apart=quality.years_apart,
        shift_px=_shift_record(quality.shift),
        shift_px_by_date={
            date: _shift_record(shift)
            for date, shift in zip(quality.dates, quality.by_date, strict=True)
        },
        applied_shift_m=quality.applied_m,
        shift_m=quality.correction_m,
        scene_shift_m=quality.image_corrections_m,
        completeness_at_least=None if whole is None else whole.least,
        completeness_interval=None if whole is None else (whole.low, whole.high),
        class_share=quality.class_share,
        foreground_share=quality.foreground_share,
        ignore_share=quality.ignore_share,
        empty_blocks=quality.empty_blocks,
        warnings=check.warnings,
    )


def _shift_record(shift: Shift | None) -> ShiftRecord | None:
    return None if shift is None else ShiftRecord.model_validate(shift, from_attributes=True)

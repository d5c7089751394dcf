"""What one added date changed in a class map, in numbers."""

import datetime as dt

from pydantic import BaseModel, ConfigDict


class Change(BaseModel):
    """What one added date changed in the class map.

    Attributes:
        date: The added date.
        compared_px: Pixels that had a class before and after.
        changed_px: Those of them whose class changed.
        gained_px: Class name -> how many of these became this class.
        lost_px: Class name -> how many of these were this class before.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    date: dt.date
    compared_px: int
    changed_px: int
    gained_px: dict[str, int]
    lost_px: dict[str, int]

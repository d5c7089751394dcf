"""What decides a classical classifier, without the library that has the methods."""

from typing import Literal

from pydantic import Field

from swath.validation import Frozen

MethodName = Literal[
    "random-forest",
    "svm-linear",
    "svm-rbf",
    "knn",
    "maximum-likelihood",
    "logistic-regression",
]

CLASSIFIER = 1
"""Version of the code that draws pixels, fits and maps; raised when it gives other maps."""


class PixelSettings(Frozen):
    """What decides a classical classifier, but its data and seed.

    Attributes:
        method: Which.
        pixels: Training pixels of each class, at most.
        dates: T; None: what every training site has, at most 3.
    """

    method: MethodName
    pixels: int = Field(default=10_000, ge=10, le=10_000_000)
    dates: int | None = Field(default=None, ge=1, le=1000)

"""The classical classifiers by name."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

MethodName = Literal[
    "random-forest",
    "svm-linear",
    "svm-rbf",
    "knn",
    "maximum-likelihood",
    "logistic-regression",
]

TREES = 100
NEIGHBOURS = 15
LANDMARKS = 300
"""Training pixels that span the approximated space of the RBF kernel."""


class PixelSettings(BaseModel):
    """What decides a classical classifier, but its data and seed.

    Attributes:
        method: Which.
        pixels: Training pixels of each class, at most.
        dates: T; None: what every training site has, at most 3.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName
    pixels: int = Field(default=10_000, ge=10)
    dates: int | None = Field(default=None, ge=1)


def _svm(seed: int) -> Any:
    # An SVM gives distances; a sigmoid fitted on five folds makes probabilities of them (Platt).
    return CalibratedClassifierCV(LinearSVC(dual=False, random_state=seed), ensemble=False)


METHODS: dict[MethodName, Callable[[int], Any]] = {
    # Leaves of 5 pixels: with single ones the votes of the trees are poor probabilities.
    "random-forest": lambda seed: RandomForestClassifier(
        TREES, min_samples_leaf=5, random_state=seed
    ),
    "svm-linear": _svm,
    # Exact RBF machines need days for this many pixels.
    "svm-rbf": lambda seed: make_pipeline(
        Nystroem(n_components=LANDMARKS, random_state=seed), _svm(seed)
    ),
    "knn": lambda seed: KNeighborsClassifier(NEIGHBOURS),
    # A Gaussian a class, all classes as likely before: the maximum likelihood classifier of remote
    # sensing. The small term keeps bands that say the same from dividing by nearly 0.
    "maximum-likelihood": lambda seed: QuadraticDiscriminantAnalysis(reg_param=1e-4),
    "logistic-regression": lambda seed: LogisticRegression(max_iter=1000),
}
"""Method -> (seed -> the classifier, not fitted yet)."""

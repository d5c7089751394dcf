"""The classical classifiers by name."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from swath.lab.baselines.settings import MethodName

TREES = 100
NEIGHBOURS = 15
LANDMARKS = 300
"""Training pixels that span the approximated space of the RBF kernel."""


class Classifier(Protocol):
    """What all methods do; scikit-learn's names.

    Attributes:
        classes_: (known classes,) their ids, ascending, once it is fitted.
    """

    classes_: NDArray[np.uint8]

    def fit(self, features: NDArray[np.float32], labels: NDArray[np.uint8], /) -> object:
        """Learn from (n, features) rows and their (n,) class ids."""

    def predict_proba(self, features: NDArray[np.float32], /) -> NDArray[np.float64]:
        """(n, features) -> (n, known classes) probabilities."""


def _svm(seed: int) -> Classifier:
    # An SVM gives distances; a sigmoid fitted on five folds makes probabilities of them (Platt).
    machine = LinearSVC(dual=False, random_state=seed)
    classifier: Classifier = CalibratedClassifierCV(machine, ensemble=False)
    return classifier


METHODS: dict[MethodName, Callable[[int], Classifier]] = {
    # Leaves of 5 pixels: with single ones the votes of the trees are poor probabilities.
    "random-forest": lambda seed: RandomForestClassifier(TREES, min_samples_leaf=5, random_state=seed),
    "svm-linear": _svm,
    # Exact RBF machines need days for this many pixels.
    "svm-rbf": lambda seed: make_pipeline(Nystroem(n_components=LANDMARKS, random_state=seed), _svm(seed)),
    "knn": lambda seed: KNeighborsClassifier(NEIGHBOURS),
    # A Gaussian a class, all classes as likely before: the maximum likelihood classifier of remote
    # sensing. The small term keeps bands that say the same from dividing by nearly 0.
    "maximum-likelihood": lambda seed: QuadraticDiscriminantAnalysis(reg_param=1e-4),
    "logistic-regression": lambda seed: LogisticRegression(max_iter=1000),
}
"""Method -> (seed -> the classifier, not fitted yet)."""

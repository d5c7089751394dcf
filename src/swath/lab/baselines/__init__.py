"""Classical classifiers of single pixels, all dates stacked; scikit-learn has the methods.

settings.py: what decides one; methods.py: which there are; sample.py: the pixels that they learn
from; classify.py: fitting one and mapping with it. Nothing is stored but the maps: a fitted
classifier lives in one process. Importing this package says what reports call them.
"""

from swath.models.names import NAMES

for _slug, _name in (
    ("random-forest", "random forest"),
    ("svm-linear", "linear SVM"),
    ("svm-rbf", "RBF SVM"),
    ("knn", "k nearest neighbours"),
    ("maximum-likelihood", "maximum likelihood"),
    ("logistic-regression", "logistic regression"),
):
    NAMES[_slug] = (f"{_name}, one date", _name)

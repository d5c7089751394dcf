"""A classifier two-sample test: how well a forest tells real from simulated patches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.errors import InputError
from swath.lab.realism.siteimages import BANDS, SiteImages
from swath.lab.realism.texture import cut_patches, feature_names, texture_features

_PATCHES = 30
"""Patches of one image at most, so that no city outweighs the others."""

_FOLDS = 5
_TREES = 80
_CONTROLS = 2


@dataclass(frozen=True, slots=True)
class ToldApart:
    """How well a forest told the two kinds of places apart.

    Attributes:
        accuracy: Balanced; 0.5 is chance.
        auc: Area under the ROC curve.
        important: The features that did most: name, importance, and how far the simulated mean lies
            from the real one, in deviations of the real patches.
        by_place: Name of a place -> share of its patches that were told right.
    """

    accuracy: float
    auc: float
    important: tuple[tuple[str, float, float], ...]
    by_place: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TwoSample:
    """The result of the test.

    Attributes:
        patches: How many of simulated, and of real places.
        texture: Told apart by ratios alone.
        all: By brightness, too.
        real_against_real: The accuracy by ratios where the real places themselves are parted at
            random, which a perfect simulation would reach.
    """

    patches: tuple[int, int]
    texture: ToldApart
    all: ToldApart
    real_against_real: float


@dataclass(frozen=True, slots=True, eq=False)
class _Patches:
    """Patches of all places.

    Attributes:
        places: Names, the simulated ones first.
        features: (n, features) float32, as `feature_names` names them.
        groups: (n,) number of the place.
        truth: (n,) 1 = real, 0 = simulated.
    """

    places: tuple[str, ...]
    features: NDArray[np.float32]
    groups: NDArray[np.int64]
    truth: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Forest:
    """What forests said of places that they had not seen; `hit`: (n,) whether they were right."""

    accuracy: float
    auc: float
    importance: NDArray[np.float64]
    hit: NDArray[np.bool_]


def tell_apart(simulated: Sequence[SiteImages], real: Sequence[SiteImages], seed: int) -> TwoSample:
    """A classifier two-sample test: how well a random forest tells real from simulated patches.

    Patches of 32 px; the places of a fold are held out whole. An accuracy of 0.5 is perfect.

    Args:
        simulated: Simulated places.
        real: Real places.
        seed: Of the forests and of the choice of patches.

    Raises:
        InputError: Too few places to hold some out, or one without a patch of whole data.

    Source: Lopez-Paz and Oquab 2017, classifier two-sample tests.
    """
    for kind, places in (("simulated", simulated), ("real", real)):
        if len(places) < _FOLDS:
            raise InputError(
                f"{len(places)} {kind} sites; the test holds out whole sites and needs at least "
                f"{_FOLDS} of either kind"
            )
    rng = np.random.default_rng(seed)
    patches = _draw_patches(simulated, real, rng)
    names = feature_names(BANDS)
    ratios = [at for at, name in enumerate(names) if not name.startswith("level")]
    return TwoSample(
        patches=(int((patches.truth == 0).sum()), int((patches.truth == 1).sum())),
        texture=_told_apart(patches, ratios, seed),
        all=_told_apart(patches, list(range(len(names))), seed),
        real_against_real=_control(patches, ratios, rng, seed),
    )


def _draw_patches(
    simulated: Sequence[SiteImages], real: Sequence[SiteImages], rng: np.random.Generator
) -> _Patches:
    drawn = [_place_features(place, rng) for place in (*simulated, *real)]
    groups = np.repeat(np.arange(len(drawn)), [len(features) for features in drawn])
    return _Patches(
        tuple(place.name for place in (*simulated, *real)),
        np.concatenate(drawn),
        groups,
        (groups >= len(simulated)).astype(np.int64),
    )


def _place_features(place: SiteImages, rng: np.random.Generator) -> NDArray[np.float32]:
    """Features of some patches of every image of a place."""
    features = []
    for image, ok in zip(place.images, place.valid, strict=True):
        patches = cut_patches(image, ok)
        chosen = rng.permutation(len(patches))[:_PATCHES]
        if len(chosen):
            features.append(texture_features(patches[np.sort(chosen)], BANDS))
    if not features:
        raise InputError(f"{place.name}: no piece of 32 x 32 px without missing data")
    return np.concatenate(features)


def _told_apart(patches: _Patches, columns: Sequence[int], seed: int) -> ToldApart:
    """What forests that see some of the features say."""
    names = [feature_names(BANDS)[at] for at in columns]
    features = patches.features[:, columns]
    simulated, real = (features[patches.truth == kind] for kind in (0, 1))
    gaps = (simulated.mean(axis=0) - real.mean(axis=0)) / real.std(axis=0)
    forest = _grow(features, patches.truth, patches.groups, seed)
    return ToldApart(
        forest.accuracy,
        forest.auc,
        tuple(
            (names[at], round(float(forest.importance[at]), 3), round(float(gaps[at]), 2))
            for at in np.argsort(-forest.importance)[:10]
        ),
        {
            name: round(float(forest.hit[patches.groups == at].mean()), 3)
            for at, name in enumerate(patches.places)
        },
    )


def _control(patches: _Patches, columns: Sequence[int], rng: np.random.Generator, seed: int) -> float:
    """The accuracy where half of the real places are called simulated."""
    real = patches.truth == 1
    numbers = np.unique(patches.groups[real])
    accuracies = []
    for _ in range(_CONTROLS):
        half = rng.permutation(numbers)[: len(numbers) // 2]
        pretended = np.isin(patches.groups[real], half).astype(np.int64)
        features = patches.features[real][:, columns]
        accuracies.append(_grow(features, pretended, patches.groups[real], seed).accuracy)
    return round(float(np.mean(accuracies)), 3)


def _grow(
    features: NDArray[np.float32], truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> _Forest:
    """Forests by folds of places, scored on the places that each has not seen."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    share = np.zeros(len(truth))
    importance = np.zeros(features.shape[1])
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, truth, groups):
        forest = RandomForestClassifier(
            _TREES,
            min_samples_leaf=2,
            max_samples=0.6,
            class_weight="balanced",
            random_state=seed,
        )
        forest.fit(features[train], truth[train])
        share[test] = forest.predict_proba(features[test])[:, 1]
        importance += forest.feature_importances_ / _FOLDS
    guess = (share > 0.5).astype(np.int64)
    return _Forest(
        round(float(balanced_accuracy_score(truth, guess)), 3),
        round(float(roc_auc_score(truth, share)), 3),
        importance,
        guess == truth,
    )

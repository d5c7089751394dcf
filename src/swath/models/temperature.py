"""Temperature: one number by which a trained network is made as sure as it has reason to be."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

RANGE = (0.25, 8.0)
"""Temperatures that are tried."""

LEAST = 1e-6


def tempered(pmap: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Make a PMap less sure (temperature above 1) or surer (below 1).

    Which class is the likeliest stays as it is, pixel by pixel.

    Args:
        pmap: (lc, ...) probabilities 0..1; they need not sum to 1.
        temperature: Above 0; 1 gives the PMap back as it is.

    Returns:
        (lc, ...) float32, p^(1/temperature) over the sum of the classes: the logarithms of the
        odds between classes are divided by the temperature.

    Source: not in the paper. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    if temperature == 1:
        return pmap
    power = np.maximum(pmap, np.float32(LEAST)) ** np.float32(1 / temperature)
    softened: NDArray[np.float32] = power / power.sum(axis=0)
    return softened


def fit_temperature(pmap: NDArray[np.float32], label: NDArray[np.integer]) -> float:
    """The temperature under which labels that a network has not learnt from are likeliest.

    Args:
        pmap: (lc, N) probabilities 0..1 of N labelled pixels; they need not sum to 1.
        label: (N,) class of each, 0..lc-1.

    Returns:
        Where the mean log likelihood of the labels is highest, within `RANGE`; to three digits. 1
        where there is no pixel.

    Source: as `tempered`.
    """
    if not label.size:
        return 1.0
    logs = np.log(np.maximum(pmap, np.float32(LEAST)))
    true = np.take_along_axis(logs, label[None].astype(np.intp), axis=0)[0]

    def surprise(log_temperature: float) -> float:
        sharp = np.exp(-log_temperature)
        total = logsumexp(logs * np.float32(sharp), axis=0)
        return float(np.mean(total - true * sharp, dtype=np.float64))

    low, high = np.log(RANGE)
    best = minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(f"{np.exp(best.x):.3g}")

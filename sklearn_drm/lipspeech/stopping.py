"""Early stopping of scikit-learn's networks by whole clips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor

from sklearn_drm.metrics import pooled_r2

__all__ = ["stop_by_group"]

Array = NDArray[Any]


def stop_by_group(
    network: MLPRegressor, X: Array, Y: Array, groups: Array, seed: int | None
) -> MLPRegressor:
    """Train a network, stopping by the R² of a tenth of the groups.

    Neighbouring frames of one clip are alike, so held-out random rows keep improving
    when unseen clips no longer do.

    Parameters
    ----------
    network : sklearn.neural_network.MLPRegressor
        Not yet fitted; `max_iter`, `tol` and `n_iter_no_change` as in its own fit.
    X, Y : ndarray of shape (n, n_in) and (n, n_out)
        Input and target.
    groups : ndarray of shape (n,)
        At least two different ones.
    seed : int or None
        Choice of the held-out groups.

    Returns
    -------
    sklearn.neural_network.MLPRegressor
        The same, with its best weights.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_drm.lipspeech.systems import stop_by_group
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> network = MLPRegressor(hidden_layer_sizes=10, max_iter=5, random_state=0)
    >>> network = stop_by_group(network, X, X[:, :1], np.repeat(range(10), 20), 0)
    >>> network.predict(X).shape
    (200,)
    """
    labels = np.random.default_rng(seed).permutation(np.unique(groups))
    held = np.isin(groups, labels[: max(1, len(labels) // 10)])
    train_x, train_y, held_x, held_y = X[~held], Y[~held], X[held], Y[held]
    # One column as a row of numbers: otherwise scikit-learn warns.
    target = train_y.ravel() if train_y.shape[1:] == (1,) else train_y
    best, waited, kept = -np.inf, 0, None
    for _ in range(network.max_iter):
        network.partial_fit(train_x, target)
        score = pooled_r2(held_y, network.predict(held_x).reshape(held_y.shape))
        waited = 0 if score > best + network.tol else waited + 1
        if score > best:
            best = score
            weights = [w.copy() for w in network.coefs_]
            kept = weights, [bias.copy() for bias in network.intercepts_]
        if waited > network.n_iter_no_change:
            break
    if kept is not None:
        network.coefs_, network.intercepts_ = kept
    return network

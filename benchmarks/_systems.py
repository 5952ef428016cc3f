"""Systems that predict two views from each other, behind one interface.

Not a script: what `bench_grid.py` and `bench_tabular.py` compare.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import MLPRegressor

from sklearn_drm import GGDRMRegressor
from sklearn_drm.lipspeech.stopping import stop_by_group

__all__ = [
    "DEFAULT",
    "Fitted",
    "System",
    "Task",
    "conditional_mean",
    "independent_gaussians",
    "joint_mixture",
    "linear",
    "perceptrons",
    "relational",
    "relational_variants",
]

DEFAULT = "DRM, separate fine-tuning (default)"
"""Name of the model with default hyperparameters."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """Rows of two standardised views.

    Parameters
    ----------
    x, y : ndarray of shape (n, n_x) and (n, n_y)
        What a system is given: frames with their neighbours, where there are any.
    x_columns, y_columns : slice
        Columns of x and y that are to be predicted: the frame itself.
    groups : ndarray of shape (n,) or None
        Clip of each row.
    """

    x: Array
    y: Array
    x_columns: slice
    y_columns: slice
    groups: Array | None = None

    @property
    def x_goal(self) -> Array:
        """The columns of x to predict."""
        return np.ascontiguousarray(self.x[:, self.x_columns])

    @property
    def y_goal(self) -> Array:
        """The columns of y to predict."""
        return np.ascontiguousarray(self.y[:, self.y_columns])


@dataclass(frozen=True)
class Fitted:
    """A fitted system.

    Parameters
    ----------
    predict : callable
        `predict(task)` gives predictions of the task's `y_goal` and `x_goal`.
    log_density : callable or None
        `log_density(task)` gives nats per row, where the system has a density.
    model : object
        What was fitted, for further figures.
    """

    predict: Callable[[Task], tuple[Array, Array]]
    log_density: Callable[[Task], Array] | None = None
    model: Any = None


@dataclass(frozen=True)
class System:
    """A system to compare.

    Parameters
    ----------
    name : str
    fit : callable
        `fit(task, seed)` fits both directions.
    seeded : bool
        Whether the result depends on the seed.
    kind : str
        "baseline", "perceptrons" or "relational", "larger ..." if not of 100 units.
    """

    name: str
    fit: Callable[[Task, int], Fitted]
    seeded: bool = True
    kind: str = "baseline"


def independent_gaussians() -> System:
    """The training mean; as a density, one Gaussian per column."""

    def fit(task: Task, seed: int) -> Fitted:
        columns = [(v.mean(axis=0), np.maximum(v.var(axis=0), 1e-6)) for v in _in(task)]

        def predict(test: Task) -> tuple[Array, Array]:
            rows = len(test.x)
            return (
                np.tile(columns[1][0][task.y_columns], (rows, 1)),
                np.tile(columns[0][0][task.x_columns], (rows, 1)),
            )

        def log_density(test: Task) -> Array:
            total = np.zeros(len(test.x))
            for (mean, variance), view in zip(columns, _in(test), strict=True):
                squared = np.square(view - mean) / variance
                total -= 0.5 * (squared + np.log(2 * np.pi * variance)).sum(axis=1)
            return total

        return Fitted(predict, log_density)

    return System("mean", fit, seeded=False)


def linear(name: str, *, ridge: float = 1.0, n_components: int = 16) -> System:
    """Ridge or partial least squares, one regression per direction.

    Parameters
    ----------
    name : {"ridge", "PLS"}
    ridge : float
        Strength of the ridge.
    n_components : int
        Of partial least squares; fewer where a view has fewer columns.
    """

    def make(source: Array, goal: Array) -> Any:
        if name == "ridge":
            return Ridge(ridge)
        components = min(n_components, source.shape[1], goal.shape[1], len(source))
        return PLSRegression(components, scale=False)

    def fit(task: Task, seed: int) -> Fitted:
        with warnings.catch_warnings():
            # Power iterations of late components may stop short of their tolerance.
            warnings.simplefilter("ignore", ConvergenceWarning)
            to_y = make(task.x, task.y_goal).fit(task.x, task.y_goal)
            to_x = make(task.y, task.x_goal).fit(task.y, task.x_goal)
        return Fitted(partial(_pair, to_y, to_x))

    return System(name, fit, seeded=False)


def joint_mixture(n_components: int = 16) -> System:
    """One full-covariance Gaussian mixture of both views, without context.

    It is fitted to the columns to predict alone, and predicts conditional means.
    """

    def fit(task: Task, seed: int) -> Fitted:
        mixture = GaussianMixture(n_components, reg_covar=1e-3, random_state=seed)
        rows = np.hstack([task.x_goal, task.y_goal]).astype(np.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows)
        n_x = task.x_goal.shape[1]
        x, y = np.arange(n_x), np.arange(n_x, rows.shape[1])

        def predict(test: Task) -> tuple[Array, Array]:
            return (
                conditional_mean(mixture, test.x_goal, x, y),
                conditional_mean(mixture, test.y_goal, y, x),
            )

        def log_density(test: Task) -> Array:
            both = np.hstack([test.x_goal, test.y_goal]).astype(np.float64)
            return np.asarray(mixture.score_samples(both))

        return Fitted(predict, log_density, mixture)

    return System(f"joint GMM, {n_components} full", fit)


def conditional_mean(
    mixture: GaussianMixture, rows: Array, given: Array, wanted: Array
) -> Array:
    r"""Minimum mean squared error prediction of some columns from others.

    Parameters
    ----------
    mixture : sklearn.mixture.GaussianMixture
        Fitted, with full covariances.
    rows : ndarray of shape (n, n_given)
        Values of the given columns.
    given, wanted : ndarray of int
        Columns of the mixture.

    Returns
    -------
    ndarray of shape (n, n_wanted)

    Notes
    -----
    :math:`\sum_k p(k | g) (\mu_k^w + \Sigma_k^{wg} (\Sigma_k^{gg})^{-1}
    (g - \mu_k^g))`.
    """
    rows = np.asarray(rows, dtype=np.float64)
    log_weights, means = [], []
    for weight, mean, covariance in zip(
        mixture.weights_, mixture.means_, mixture.covariances_, strict=True
    ):
        inner = covariance[np.ix_(given, given)]
        marginal = multivariate_normal(mean[given], inner)
        # One row, or one column, comes back with fewer dimensions.
        log_weights.append(np.log(weight) + marginal.logpdf(rows).reshape(len(rows)))
        gain = np.linalg.solve(inner, covariance[np.ix_(given, wanted)])
        means.append(mean[wanted] + (rows - mean[given]) @ gain)
    shares = softmax(np.stack(log_weights), axis=0)
    return np.asarray(np.einsum("kn,knd->nd", shares, np.stack(means)))


def perceptrons(
    activation: str, stop: str, *, n_units: int = 100, max_iter: int = 200
) -> System:
    """Two `MLPRegressor` of two hidden layers, one per direction.

    Parameters
    ----------
    activation : {"relu", "logistic"}
    stop : {"rows", "clips", "epochs"}
        Early stopping on a tenth of random rows or of whole groups, or none, but at
        most `max_iter` epochs.
    n_units : int
        Units of each layer.
    max_iter : int
        Largest number of epochs.
    """
    how = {
        "rows": "stopped on rows",
        "clips": "stopped on clips",
        "epochs": f"up to {max_iter} epochs",
    }

    def fit_one(X: Array, Y: Array, groups: Array | None, seed: int) -> MLPRegressor:
        network = MLPRegressor(
            hidden_layer_sizes=(n_units, n_units),
            activation=activation,
            early_stopping=stop == "rows",
            max_iter=max_iter,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            if stop == "clips":
                if groups is None:
                    raise ValueError("stopping on clips needs the clip of each row")
                return stop_by_group(network, X, Y, groups, seed)
            return network.fit(X, Y)

    def fit(task: Task, seed: int) -> Fitted:
        to_y = fit_one(task.x, task.y_goal, task.groups, seed)
        to_x = fit_one(task.y, task.x_goal, task.groups, seed)
        return Fitted(partial(_pair, to_y, to_x))

    units = "" if n_units == 100 else f"{n_units} units, "
    name = f"two MLPs {activation}, {units}{how[stop]}"
    return System(name, fit, kind="perceptrons" if not units else "larger perceptrons")


def relational(name: str, **parameters: Any) -> System:
    """A `GGDRMRegressor` that differs from the defaults as told."""

    def fit(task: Task, seed: int) -> Fitted:
        model = GGDRMRegressor(
            random_state=seed,
            x_target=task.x_columns,
            y_target=task.y_columns,
            **parameters,
        ).fit(task.x, task.y, groups=task.groups)

        def predict(test: Task) -> tuple[Array, Array]:
            return (
                model.predict_y(test.x)[:, task.y_columns],
                model.predict_x(test.y)[:, task.x_columns],
            )

        def log_density(test: Task) -> Array:
            return np.asarray(model.score_samples(test.x, test.y))

        # Without pre-training there is no density to speak of.
        trained = parameters.get("pretrain_epochs", 1) or (
            parameters.get("fine_tune") == "joint"
        )
        return Fitted(predict, log_density if trained else None, model)

    larger = parameters.get("n_hidden_units", 100) > 100
    return System(name, fit, kind="larger relational" if larger else "relational")


def relational_variants(**parameters: Any) -> list[System]:
    """The model before and after fine-tuning, and the same from random weights.

    Parameters
    ----------
    **parameters
        Hyperparameters of all of them, instead of the defaults.
    """
    untrained = {**parameters, "pretrain_epochs": 0}
    return [
        relational("DRM before fine-tuning", **parameters, fine_tune=None),
        relational("DRM, joint fine-tuning", **parameters, fine_tune="joint"),
        relational(DEFAULT, **parameters),
        relational("joint, from random weights", **untrained, fine_tune="joint"),
        relational("separate, from random weights", **untrained, fine_tune="separate"),
    ]


def _in(task: Task) -> tuple[Array, Array]:
    return task.x.astype(np.float64), task.y.astype(np.float64)


def _pair(to_y: Any, to_x: Any, test: Task) -> tuple[Array, Array]:
    return (
        np.asarray(to_y.predict(test.x)).reshape(test.y_goal.shape),
        np.asarray(to_x.predict(test.y)).reshape(test.x_goal.shape),
    )

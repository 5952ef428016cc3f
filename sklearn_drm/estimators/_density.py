"""Likelihood, samples and hidden features of the joint model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklearn_drm.core.ais import (
    EXACT_COST,
    LogPartition,
    estimate_log_partition,
)
from sklearn_drm.core.exact import enumeration_cost, log_likelihood
from sklearn_drm.core.gibbs import sample_chain
from sklearn_drm.core.mean_field import hidden_means, lower_bound
from sklearn_drm.core.model import RelationalModel, mirror
from sklearn_drm.core.rows import blocks
from sklearn_drm.core.units import Array
from sklearn_drm.estimators._prediction import TwoWayPrediction
from sklearn_drm.estimators._threads import small_products_on_one_thread
from sklearn_drm.learning.parameters import flatten_chain

__all__ = ["JointDensity"]


class JointDensity(TwoWayPrediction):
    """Methods of an estimator whose ``model_`` is a joint density."""

    fine_tune: str | None
    n_mean_field_iter: int | None
    damping: float
    mean_field: str
    _log_partition: LogPartition | None

    def log_partition(self) -> LogPartition:
        """Log-partition of ``model_`` over the standardised views.

        Returns
        -------
        LogPartition
            Estimate, lower, upper and standard error: exact for small chains, by
            annealed importance sampling otherwise. Computed once per fit.
        """
        check_is_fitted(self)
        if self._log_partition is None:
            chain = self._in_float64().chain
            of_x, of_y = self._view_means()
            means = [of_x, *self.model_.means, of_y]
            base = [
                layer.from_moments(mean.astype(np.float64), np.ones(len(mean)))
                for layer, mean in zip(chain.units, means, strict=True)
            ]
            sizes = [layer.n_units for layer in chain.units]
            with small_products_on_one_thread(100, sizes):
                self._log_partition = estimate_log_partition(
                    chain, base, np.random.default_rng(0)
                )
        return self._log_partition

    def score_samples(self, X: Any = None, y: Any = None) -> Array:
        """Log-density of pairs, or of one view alone, under ``model_``.

        Parameters
        ----------
        X : array-like of shape (n, n_x), optional
            First view; None: log p(y).
        y : array-like of shape (n, n_y) or (n,), optional
            Second view; None: log p(x).

        Returns
        -------
        ndarray of shape (n,)
            Natural-log densities in the units passed to ``fit``. Exact for small
            chains: one hidden layer of at most 20 units, two of 10 each (a view alone
            then takes up to a tenth of a second a row). With one
            hidden layer of any size and both views, exact but for the annealed
            estimate of log Z (see :meth:`log_partition` for its bracket). Otherwise a
            mean-field lower bound minus that estimate.

        Raises
        ------
        ValueError
            If neither view is given, or one is not what ``fit`` saw.

        Notes
        -----
        The density is that of the chain. With ``fine_tune="separate"`` the chain
        stays as it was pre-trained, by default for one epoch of contrastive
        divergence, after which the density hardly knows which rows belong together:
        for densities see ``fine_tune=None`` and ``pretrain_epochs``. Joint
        fine-tuning serves the conditional means, not the density.
        """
        check_is_fitted(self)
        if X is None and y is None:
            raise ValueError("score_samples needs X, y or both.")
        model = self._in_float64()
        targets = None
        if X is None:
            # log p(y): y is the first view of the mirrored chain.
            model, rows = mirror(model), self._check_y(y)
        else:
            rows = self._check_x(X)
            if y is not None:
                targets = self._check_y(y)
                check_consistent_length(rows, targets)
        log_z = self.log_partition().estimate
        factorial = targets is not None and model.chain.n_hidden_layers == 1
        if enumeration_cost(model.chain) <= EXACT_COST and not factorial:
            given = (
                None if view is None else view.astype(np.float64)
                for view in (rows, targets)
            )
            density = log_likelihood(model.chain, *given, log_z=log_z)
        else:
            density = self._bound(model, rows, targets, factorial) - log_z
        density = density - np.log(model.x_scale).sum()
        if targets is not None:
            density = density - np.log(model.y_scale).sum()
        return np.asarray(density)

    def sample(
        self, n_samples: int = 1, random_state: Any = None, n_sweeps: int = 500
    ) -> tuple[Array, Array]:
        """Draws of both views from ``model_``.

        Parameters
        ----------
        n_samples : int, default=1
            Number of pairs.
        random_state : int, RandomState or None, default=None
            Seed; None: the estimator's own.
        n_sweeps : int, default=500
            Gibbs sweeps from independent starts.

        Returns
        -------
        X : ndarray of shape (n_samples, n_x)
            First view.
        y : ndarray of shape (n_samples, n_y) or (n_samples,)
            Second view.
        """
        check_is_fitted(self)
        self._check_count("n_samples", n_samples)
        self._check_count("n_sweeps", n_sweeps)
        state = sample_chain(
            self.model_.chain,
            int(n_samples),
            self._sampling_generator(random_state),
            n_sweeps=n_sweeps,
        )
        rows = self.model_.x_scaling.restore_draws(state[0])
        return rows, self._ravel(self.model_.y_scaling.restore_draws(state[-1]))

    def transform_x(self, X: Any) -> Array:
        """Hidden means of the chain given x alone.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.

        Returns
        -------
        ndarray of shape (n, ΣJ_l)
            Posterior means of h1 … hL, side by side, in [0, 1].
        """
        return np.hstack(self._infer(self.model_, self._check_x(X)))

    def transform_y(self, y: Any) -> Array:
        """Hidden means of the chain given y alone.

        Parameters
        ----------
        y : array-like of shape (n, n_y) or (n,)
            Second view.

        Returns
        -------
        ndarray of shape (n, ΣJ_l)
            Posterior means of h1 … hL, side by side, in [0, 1].
        """
        return np.hstack(self._infer(mirror(self.model_), self._check_y(y))[::-1])

    def transform_pair(self, X: Any, y: Any) -> Array:
        """Hidden means of the chain given both views.

        Parameters
        ----------
        X : array-like of shape (n, n_x)
            First view.
        y : array-like of shape (n, n_y) or (n,)
            Second view.

        Returns
        -------
        ndarray of shape (n, ΣJ_l)
            Posterior means of h1 … hL, side by side, in [0, 1].
        """
        rows, targets = self._check_x(X), self._check_y(y)
        check_consistent_length(rows, targets)
        return np.hstack(self._infer(self.model_, rows, targets))

    def _view_means(self) -> tuple[Array, Array]:
        """Training means of both views as the chain sees them."""
        chain = self.model_.chain
        return np.zeros(chain.x.n_units), np.zeros(chain.y.n_units)

    def _in_float64(self) -> RelationalModel:
        """The model with float64 parameters: likelihoods add up many terms."""
        flat = flatten_chain(self.model_.chain)
        return replace(self.model_, chain=flat.astype(np.float64).chain)

    @staticmethod
    def _bound(
        model: RelationalModel, rows: Array, targets: Array | None, factorial: bool
    ) -> Array:
        """Mean-field bound of the unnormalised density, a block of rows at a time.

        Where the posterior is ``factorial`` it is found in one sweep, and the bound is
        the value. Otherwise the bound holds for any means; the chain's own inference
        is the tightest cheap one, whatever the predictors were tuned for.
        """
        chain = model.chain
        how: dict[str, Any] = {"n_iter": 1}
        if not factorial:
            how = {"n_iter": 30, "initial": model.means}
        parts = []
        for block in blocks(len(rows), sum(layer.n_units for layer in chain.units)):
            x = rows[block].astype(np.float64)
            y = None if targets is None else targets[block].astype(np.float64)
            parts.append(lower_bound(chain, hidden_means(chain, x, y, **how), x, y))
        return np.concatenate(parts)

    def _infer(
        self, model: RelationalModel, rows: Array, targets: Array | None = None
    ) -> tuple[Array, ...]:
        inference = self._inference()
        widest = max(layer.n_units for layer in model.chain.units)
        parts = [
            hidden_means(
                model.chain,
                rows[block],
                None if targets is None else targets[block],
                n_iter=inference["n_iter"],
                damping=inference["damping"],
                method=inference["method"],
                initial=model.means,
            )
            for block in blocks(len(rows), widest)
        ]
        return tuple(np.concatenate(layer) for layer in zip(*parts, strict=True))

    def _inference(self) -> dict[str, Any]:
        n_iter = self.n_mean_field_iter
        if n_iter is None:
            n_iter = 1 if self.fine_tune == "joint" else 20
        return {
            "n_iter": int(n_iter),
            "damping": 0.0 if n_iter == 1 else float(self.damping),
            "method": self.mean_field,
        }

"""Pre-training that looks at p(y | x) as well as at p(x, y)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.classes import infer_classes
from sklearn_drm.core.rows import Rows
from sklearn_drm.core.units import Array
from sklearn_drm.learning.contrastive_divergence import ContrastiveDivergence
from sklearn_drm.learning.feed_forward import dropout_factor
from sklearn_drm.learning.gradient import centre_gradient
from sklearn_drm.learning.optimizer import ParameterAverage

__all__ = ["RelationTraining", "add_class_gradient"]


def add_class_gradient(
    chain: Chain,
    x: Array,
    y: Array,
    weight: Array,
    out: Chain,
    *,
    initial: Sequence[Array],
    n_iter: int = 3,
) -> float:
    r"""Add the gradient of the log-probability of the right class to ``out``.

    Parameters
    ----------
    chain : Chain
        Chain with Bernoulli or categorical y of K units.
    x : ndarray of shape (n, n_x)
        First view.
    y : ndarray of shape (n, K)
        Classes, one-hot.
    weight : ndarray of shape (n,)
        Row weights.
    out : Chain
        Same layout; changed in place.
    initial : sequence of ndarray, each of shape (J_l,)
        Where inference starts.
    n_iter : int, default=3
        Mean-field sweeps for each class.

    Returns
    -------
    float
        Loss −Σ_n w_n log p(y_n | x_n).

    Notes
    -----
    With F_k the bound on log ∫ exp(−E) at y = class k, log p(k | x) = F_k −
    log Σ_j exp F_j, and ∂F_k/∂θ = ⟨−∂E/∂θ⟩ at the means that maximise F_k. So every
    class counts with weight [k = y] − p(k | x), and what is common to all classes,
    such as the energy of x, drops out. Exact for one hidden layer; with more, as far
    as the sweeps have converged.

    References
    ----------
    H. Larochelle, Y. Bengio, "Classification using discriminative restricted
    Boltzmann machines", ICML 2008, section 4.
    """
    scores, hidden = infer_classes(chain, x, n_iter=n_iter, initial=initial)
    scores -= scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -float(weight @ np.einsum("nk,nk->n", y, log_p))
    share = (y - np.exp(log_p)) * weight[:, None]
    out.y.bias[...] += share.sum(axis=0)
    weighted = [mean * share.T[:, :, None] for mean in hidden]
    coupled = chain.x.coupling(x)
    products = coupled.T @ weighted[0].sum(axis=0)
    out.weights[0][...] += products
    statistics = chain.x.coupling_statistics(chain.weights[0], products)
    for name, value in statistics.items():
        out.x.parameters[name] += value
    for index, contribution in enumerate(weighted):
        out.units[index + 1].bias[...] += contribution.sum(axis=(0, 1))
        if index + 1 < len(hidden):
            below = contribution.reshape(-1, contribution.shape[-1])
            above = hidden[index + 1].reshape(len(below), -1)
            out.weights[index + 1][...] += below.T @ above
    out.weights[-1][...] += weighted[-1].sum(axis=1).T
    return loss


@dataclass
class RelationTraining(ContrastiveDivergence):
    """Contrastive divergence with the gradient of log p(y | x) beside it.

    Parameters
    ----------
    relation_weight : float, default=0.0
        Weight of log p(y | x); that of log p(x, y) is 1.
    input_dropout : float in [0, 1), default=0.0
        Share of values of x set to zero where y is inferred from them.
    decay : float in [0, 1), default=0.0
        Decay per update of the average that :meth:`settle` takes; 0: none.
    """

    relation_weight: float = 0.0
    input_dropout: float = 0.0
    decay: float = 0.0

    def start(self, x: Rows, y: Rows, weight: Array) -> None:
        """Begin a run of updates: data means, and a new average."""
        super().start(x, y, weight)
        self.average = ParameterAverage(self.model.vector, self.decay)

    def update(
        self,
        x: Array,
        y: Array,
        weight: Array,
        learning_rate: float,
        rng: np.random.Generator,
    ) -> float:
        """One step on one batch, see :meth:`ContrastiveDivergence.update`."""
        distance = super().update(x, y, weight, learning_rate, rng)
        if self.decay:
            # The gradient has done its work.
            self.average.follow(self.model.vector, scratch=self.gradient.vector)
        return distance

    def settle(self) -> None:
        """Take the average of the parameters over the last updates."""
        if self.decay:
            self.model.vector[:] = self.average.value

    def _add_to_gradient(
        self, x: Array, y: Array, weight: Array, rng: np.random.Generator
    ) -> None:
        if not self.relation_weight:
            return
        if self.input_dropout:
            x = x * dropout_factor(x.shape, x.dtype, self.input_dropout, rng)
        relation = self.model.zeros_like()
        add_class_gradient(
            self.model.chain,
            x,
            y,
            (self.relation_weight * weight).astype(x.dtype),
            relation.chain,
            initial=self.means,
        )
        centre_gradient(relation.chain, self.offsets)
        self.gradient.vector[...] += relation.vector

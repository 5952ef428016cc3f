"""How good a prediction is: R², mel-cepstral distortion, variance, movement.

Arrays have one row per sample; further axes (columns, pixels) are pooled over.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d

__all__ = [
    "mel_cepstral_distortion",
    "modulation_spectrum_distance",
    "pooled_r2",
    "variance_ratio",
    "variance_ratios",
    "within_group_r2",
    "x_score",
    "y_score",
]


def pooled_r2(
    y_true: ArrayLike, y_pred: ArrayLike, *, reference: ArrayLike | None = None
) -> float:
    """R² pooled over all columns, against a given reference prediction.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, ...)
        Finite numbers.
    reference : array-like broadcastable to y_true, default=None
        The prediction that scores 0, as a rule the training mean. None: 0, which
        *is* the training mean of views standardised with training statistics.

    Returns
    -------
    r2 : float in (-inf, 1]
        Where ``y_true`` equals the reference everywhere, R² is undefined; as in
        :func:`sklearn.metrics.r2_score` it is then 1 for a perfect prediction and
        0 for any other.

    Raises
    ------
    ValueError
        If shapes differ, there are no rows, or a value is not finite.

    Notes
    -----
    ``1 − Σ (true − predicted)² / Σ (true − reference)²``, sums over rows and
    columns. Columns count by their variance, where
    :func:`sklearn.metrics.r2_score` gives each column the same weight however
    little it varies.

    Examples
    --------
    >>> from sklearn_drm.metrics import pooled_r2
    >>> pooled_r2([[1.0, 2.0], [-1.0, -2.0]], [[1.0, 1.0], [-1.0, -1.0]])
    0.8
    """
    true, predicted = _pair(y_true, y_pred)
    origin = 0.0 if reference is None else _reference(reference, true.shape)
    return _r2(true - predicted, true - origin)


def within_group_r2(y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike) -> float:
    """R² of what happens inside the groups: each group's mean is removed.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, ...)
        Finite numbers.
    groups : array-like of shape (n_samples,)
        Group, such as the clip, of each row.

    Returns
    -------
    r2 : float in (-inf, 1]
        Where ``y_true`` does not vary inside any group: 1 if the prediction does
        not either, else 0.

    Raises
    ------
    ValueError
        If shapes differ, there are no rows, or a value is not finite.

    Notes
    -----
    :func:`pooled_r2` of ``true − mean of its group`` and ``predicted − mean of its
    group``: the target's *and* the prediction's own mean is given away, so a
    prediction is neither helped nor hurt by where a group lies.

    Examples
    --------
    >>> from sklearn_drm.metrics import within_group_r2
    >>> within_group_r2([0.0, 2.0, 10.0, 12.0], [1.0, 3.0, 0.0, 2.0], [0, 0, 1, 1])
    1.0
    """
    true, predicted = _pair(y_true, y_pred)
    true, predicted = _centred(true, groups), _centred(predicted, groups)
    return _r2(true - predicted, true)


def variance_ratio(
    y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike | None = None
) -> float:
    """Variance of the prediction as a share of the target's.

    Conditional means vary less than what they predict: a ratio well below 1 is
    what a listener hears as speech averaged over all frames.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, ...)
        Finite numbers.
    groups : array-like of shape (n_samples,), default=None
        If given, variances are taken around each group's own mean.

    Returns
    -------
    ratio : float in [0, inf)

    Raises
    ------
    ValueError
        If ``y_true`` does not vary, shapes differ, there are no rows, or a value is
        not finite.

    Notes
    -----
    ``Σ (predicted − mean)² / Σ (true − mean)²``, means per column, sums over rows
    and columns. A prediction can have the right variance and be wrong: read it
    together with :func:`pooled_r2`.

    Examples
    --------
    >>> from sklearn_drm.metrics import variance_ratio
    >>> variance_ratio([[0.0], [2.0]], [[5.0], [6.0]])
    0.25
    """
    true, predicted = _pair(y_true, y_pred)
    total = _sum_of_squares(_centred(true, groups))
    if total == 0:
        raise ValueError(
            "variance_ratio is undefined: y_true does not vary"
            + ("" if groups is None else " inside any group")
            + "."
        )
    return _sum_of_squares(_centred(predicted, groups)) / total


def variance_ratios(
    y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Variance of the prediction as a share of the target's, column by column.

    :func:`variance_ratio` can be near 1 although some columns move too much and
    others hardly; these ratios, or their median, tell.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_columns)
        Finite numbers.
    groups : array-like of shape (n_samples,), default=None
        If given, variances are taken around each group's own mean.

    Returns
    -------
    ratios : ndarray of shape (n_columns,), range [0, inf)

    Raises
    ------
    ValueError
        If a column of ``y_true`` does not vary, the arrays are not two-dimensional,
        shapes differ, there are no rows, or a value is not finite.

    Notes
    -----
    ``Σ (predicted − mean)² / Σ (true − mean)²`` with sums over rows.

    Examples
    --------
    >>> from sklearn_drm.metrics import variance_ratios
    >>> variance_ratios([[0.0, 4.0], [2.0, 0.0]], [[5.0, 4.0], [6.0, 0.0]])
    array([0.25, 1.  ])
    """
    true, predicted = _columns_of(*_pair(y_true, y_pred))
    total = np.square(_centred(true, groups)).sum(axis=0)
    if not total.all():
        still = np.flatnonzero(total == 0)
        raise ValueError(
            f"variance_ratios is undefined: column {still[0]} of y_true does not vary"
            + ("" if groups is None else " inside any group")
            + (f", nor do {len(still) - 1} others." if len(still) > 1 else ".")
        )
    ratios: NDArray[np.float64] = (
        np.square(_centred(predicted, groups)).sum(axis=0) / total
    )
    return ratios


def modulation_spectrum_distance(
    y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike | None = None
) -> float:
    """How far apart the movements of two sets of trajectories are in strength.

    Averaged speech lacks fast movements most. Two different sentences of one speaker
    have about the same modulation spectrum, so this says how natural the movement
    is and nothing of whether it is the right one.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_columns)
        Trajectories: rows in order of time, of one or several groups.
    groups : array-like of shape (n_samples,), default=None
        Group, such as the clip, of each row; None: one trajectory.

    Returns
    -------
    distance : float >= 0
        Decibels; 0 for equal modulation spectra.

    Raises
    ------
    ValueError
        If no column of ``y_true`` varies inside a group, the arrays are not
        two-dimensional, shapes differ, there are no rows, or a value is not finite.

    Notes
    -----
    The modulation spectrum [1]_ of a group of T rows is the power
    ``|F(y − mean)|² / T`` of each column at each frequency above 0, padded with
    zeros to the longest group. Its logarithm, 10 log₁₀, is averaged over groups, and
    the root mean square difference over columns and frequencies is returned. Powers
    are counted as at least 60 dB below the mean power of their column of ``y_true``,
    so that a constant prediction has a finite distance. A group in which a column of
    ``y_true`` does not vary, as one of a single row, does not count for that column;
    columns that vary in no group are left out.

    References
    ----------
    .. [1] S. Takamichi, T. Toda, A. W. Black, G. Neubig, S. Sakti, S. Nakamura,
       "Postfilters to modify the modulation spectrum for statistical parametric
       speech synthesis", IEEE/ACM Transactions on Audio, Speech and Language
       Processing 24(4), 2016, pp. 755-767.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.metrics import modulation_spectrum_distance
    >>> wave = np.random.default_rng(0).standard_normal((75, 2))
    >>> round(modulation_spectrum_distance(wave, wave / 10), 6)
    20.0
    """
    true, predicted = _columns_of(*_pair(y_true, y_pred))
    labels = np.zeros(len(true), dtype=int) if groups is None else _labels(groups)
    check_consistent_length(true, labels)
    powers = [_modulation_powers(values, labels) for values in (true, predicted)]
    moves = powers[0].mean(axis=1) > 1e-24 * np.square(true).mean(axis=0)
    varies = moves.any(axis=0)
    if not varies.any():
        raise ValueError(
            "modulation_spectrum_distance is undefined: no column of y_true varies "
            "inside a group."
        )
    share = moves[:, varies] / moves[:, varies].sum(axis=0)
    powers = [power[..., varies] for power in powers]
    level = np.einsum("gk,gfk->k", share, powers[0]) / powers[0].shape[1]
    logs = [
        np.einsum("gk,gfk->fk", share, 10 * np.log10(np.maximum(power, 1e-6 * level)))
        for power in powers
    ]
    return float(np.sqrt(np.square(logs[0] - logs[1]).mean()))


def mel_cepstral_distortion(mc_true: ArrayLike, mc_pred: ArrayLike) -> float:
    """Mean mel-cepstral distortion over c₁, c₂, … in decibels.

    Parameters
    ----------
    mc_true, mc_pred : array-like of shape (n_frames, n_coefficients >= 2)
        Mel-cepstra in their own units (not standardised), c₀ in column 0.

    Returns
    -------
    distortion : float >= 0
        Decibels; 0 for equal cepstra whatever their c₀.

    Raises
    ------
    ValueError
        If there are fewer than two columns or two dimensions, shapes differ, there
        are no rows, or a value is not finite.

    Notes
    -----
    ``10 √2 / ln 10 · mean over frames of ‖true − predicted‖`` [1]_. The column of
    c₀, the level, is left out.

    References
    ----------
    .. [1] R. Kubichek, "Mel-cepstral distance measure for objective speech quality
       assessment", IEEE Pacific Rim Conference on Communications, Computers and
       Signal Processing, 1993, pp. 125-128.

    Examples
    --------
    >>> from sklearn_drm.metrics import mel_cepstral_distortion
    >>> round(mel_cepstral_distortion([[7.0, 0.3, 0.4]], [[0.0, 0.0, 0.0]]), 4)
    3.0709
    """
    true, predicted = _pair(mc_true, mc_pred)
    if true.ndim != 2 or true.shape[1] < 2:
        raise ValueError(
            "mel-cepstra must have the shape (n_frames, n_coefficients) with c0 in "
            f"column 0 and at least two columns, got {true.shape}."
        )
    distances = np.linalg.norm(true[:, 1:] - predicted[:, 1:], axis=1)
    return float(10 * math.sqrt(2) / math.log(10) * distances.mean())


def y_score(estimator: Any, X: Any, y: Any) -> float:
    """Scorer of the direction X → y, for ``scoring=`` in grid searches.

    scikit-learn's string scorers compare ``predict(X)`` with y as tables; this one
    takes image stacks and waveforms as well.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``score(X, y)``.
    X, y : array-like
        Held-out views, as passed to the estimator's ``fit``.

    Returns
    -------
    score : float
        ``estimator.score(X, y)``: for a :class:`~sklearn_drm.TwoViewRegressor`
        in the transformed space.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_drm import GGDRMRegressor, TwoViewRegressor
    >>> from sklearn_drm.metrics import y_score
    >>> X = np.random.default_rng(0).standard_normal((60, 3))
    >>> model = TwoViewRegressor(GGDRMRegressor(random_state=0))
    >>> cross_val_score(model, X, 2 * X[:, :2], scoring=y_score, cv=3).shape
    (3,)
    """
    return float(estimator.score(X, y))


def x_score(estimator: Any, X: Any, y: Any) -> float:
    """Scorer of the direction y → X, for ``scoring=`` in grid searches.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``score_x(X, y)``.
    X, y : array-like
        Held-out views, as passed to the estimator's ``fit``.

    Returns
    -------
    score : float
        ``estimator.score_x(X, y)``: for a :class:`~sklearn_drm.TwoViewRegressor`
        in the transformed space.

    Raises
    ------
    TypeError
        If the estimator predicts in one direction only.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_drm import GGDRMRegressor, TwoViewRegressor
    >>> from sklearn_drm.metrics import x_score
    >>> X = np.random.default_rng(0).standard_normal((60, 3))
    >>> model = TwoViewRegressor(GGDRMRegressor(random_state=0))
    >>> cross_val_score(model, X, 2 * X[:, :2], scoring=x_score, cv=3).shape
    (3,)
    """
    if not hasattr(estimator, "score_x"):
        raise TypeError(
            f"x_score needs an estimator with score_x; {type(estimator).__name__} "
            "has none, or wraps a regressor that has none."
        )
    return float(estimator.score_x(X, y))


def _pair(
    y_true: ArrayLike, y_pred: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true = _checked(y_true, "y_true")
    predicted = _checked(y_pred, "y_pred")
    if true.shape != predicted.shape:
        raise ValueError(
            "y_true and y_pred must have the same shape, got "
            f"{true.shape} and {predicted.shape}."
        )
    return true, predicted


def _labels(groups: ArrayLike) -> NDArray[Any]:
    labels: NDArray[Any] = column_or_1d(groups)
    try:
        np.unique(labels)
    except TypeError as error:
        raise ValueError(
            "groups must be labels of one kind, with none missing."
        ) from error
    return labels


def _checked(values: ArrayLike, name: str) -> NDArray[np.float64]:
    checked: NDArray[np.float64] = check_array(
        values, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name=name
    )
    return checked


def _reference(reference: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    origin = np.asarray(reference, dtype=np.float64)
    if not np.all(np.isfinite(origin)):
        raise ValueError("reference contains NaN or infinity.")
    try:
        return np.broadcast_to(origin, shape)
    except ValueError:
        raise ValueError(
            f"reference of shape {origin.shape} does not fit y_true of shape {shape}."
        ) from None


def _centred(
    values: NDArray[np.float64], groups: ArrayLike | None
) -> NDArray[np.float64]:
    """Values minus their column means, taken inside each group where given."""
    if groups is None:
        groups = np.zeros(len(values), dtype=int)
    labels = _labels(groups)
    check_consistent_length(values, labels)
    _, first, member = np.unique(labels, return_index=True, return_inverse=True)
    # From the first row of each group: the mean of equal values may round to another.
    values = values - values[first][member]
    sums = np.zeros((member.max() + 1, *values.shape[1:]))
    np.add.at(sums, member, values)
    counts = np.bincount(member).reshape(-1, *(1,) * (values.ndim - 1))
    means: NDArray[np.float64] = sums / counts
    return values - means[member]


def _columns_of(
    true: NDArray[np.float64], predicted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if true.ndim != 2:
        raise ValueError(
            "trajectories must have the shape (n_samples, n_columns), got "
            f"{true.shape}."
        )
    return true, predicted


def _modulation_powers(
    values: NDArray[np.float64], labels: NDArray[Any]
) -> NDArray[np.float64]:
    """(groups, frequencies above 0, columns)."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    # A single row has no frequency above 0; padding gives it one, with power 0.
    length = max(2, *map(len, members))
    spectra = [
        np.abs(np.fft.rfft(values[rows] - values[rows].mean(axis=0), length, axis=0))[
            1:
        ]
        ** 2
        / len(rows)
        for rows in members
    ]
    return np.stack(spectra)


def _sum_of_squares(values: NDArray[np.float64]) -> float:
    return float(np.square(values).sum())


def _r2(errors: NDArray[np.float64], deviations: NDArray[np.float64]) -> float:
    """1 − Σ errors² / Σ deviations², whatever their unit."""
    largest = max(np.abs(errors).max(), np.abs(deviations).max())
    if largest > 0 and not 1e-150 < largest < 1e150:
        errors, deviations = errors / largest, deviations / largest
    error, total = _sum_of_squares(errors), _sum_of_squares(deviations)
    if total == 0:
        return 1.0 if error == 0 else 0.0
    return 1 - error / total

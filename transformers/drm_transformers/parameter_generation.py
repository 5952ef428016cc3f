"""Dynamic features, and the trajectory that agrees with them best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, solveh_banded

from drm_transformers._groups import labelled_rows, members_of
from drm_transformers.trajectory import stack_context

__all__ = ["delta_features", "mlpg"]

FloatArray = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]


def delta_features(rows: npt.ArrayLike, groups: npt.ArrayLike | None) -> FloatArray:
    """Put each row's first and second difference in time beside it.

    Parameters
    ----------
    rows : array-like of shape (n, d)
        Rows of one or several clips, those of a clip in time order.
    groups : array-like of shape (n,) or None
        Clip of each row; None: all one clip.

    Returns
    -------
    ndarray of shape (n, 3 * d)
        Static columns, Δ = (y[t+1] − y[t−1]) / 2, ΔΔ = y[t−1] − 2 y[t] + y[t+1].
        Beyond a clip's ends its first or last row is repeated.

    Raises
    ------
    ValueError
        Shapes do not match.

    Examples
    --------
    >>> delta_features([[0.0], [1.0], [4.0]], None)
    array([[ 0. ,  0.5,  1. ],
           [ 1. ,  2. ,  2. ],
           [ 4. ,  1.5, -3. ]])
    """
    values, _ = labelled_rows(rows, groups)
    before, here, after = np.split(stack_context(values, groups, 1), 3, axis=1)
    return np.hstack([here, (after - before) / 2, before - 2 * here + after])


def mlpg(
    means: npt.ArrayLike, variances: npt.ArrayLike, groups: npt.ArrayLike | None
) -> FloatArray:
    r"""Most likely trajectory, given Gaussians of it and of its differences.

    Maximum-likelihood parameter generation: static predictions alone may jump from
    frame to frame; the predicted differences say how they should move.

    Parameters
    ----------
    means : array-like of shape (n, 3 * d)
        Predicted static columns, Δ and ΔΔ, as `delta_features` orders them.
    variances : array-like of shape (n, 3 * d) or (3 * d,), range (0, inf]
        Variance of each around its prediction, for each row or one for all.
        Infinite: not to be used, for Δ and ΔΔ only.
    groups : array-like of shape (n,) or None
        Clip of each row, rows of a clip in time order; None: all one clip.

    Returns
    -------
    ndarray of shape (n, d)
        The trajectory of each clip.

    Raises
    ------
    ValueError
        Shapes do not match, a mean is not finite, a variance is not positive, or
        the variances differ by so much that the equations cannot be solved.

    Notes
    -----
    Per clip and dimension :math:`y = (U^T D^{-1} U)^{-1} U^T D^{-1} M`, where U
    stacks the windows (1), (−½, 0, ½) and (1, −2, 1), M the means and D the
    variances [1]_. The first and last frame have no neighbour on one side: their Δ
    and ΔΔ are not used. The matrix has two side diagonals, so the cost grows with
    the number of rows.

    References
    ----------
    .. [1] K. Tokuda, T. Yoshimura, T. Masuko, T. Kobayashi and T. Kitamura, "Speech
       parameter generation algorithms for HMM-based speech synthesis", ICASSP 2000,
       pp. 1315-1318.

    Examples
    --------
    A jump is smoothed where the differences are said to be small.

    >>> import numpy as np
    >>> means = np.zeros((6, 3))
    >>> means[3:, 0] = 1.0
    >>> mlpg(means, [1.0, 0.1, 0.1], None)[:, 0].round(2)
    array([0.31, 0.38, 0.45, 0.55, 0.62, 0.69])
    """
    centre, labels = labelled_rows(means, groups)
    n, width = centre.shape
    if width % 3:
        raise ValueError(
            f"means have {width} columns, no multiple of 3: give static, delta and "
            "delta-delta columns, as delta_features orders them"
        )
    if not np.all(np.isfinite(centre)):
        raise ValueError("means contain NaN or infinity")
    precision = _precisions(variances, centre.shape)
    order = np.argsort(labels, kind="stable")
    inner = _inner(labels)[order, None]
    target = centre[order].astype(np.float64)
    static, delta, second = (part[order] for part in np.split(precision, 3, axis=1))
    bands, right = _equations(static, delta * inner, second * inner, target)
    result = np.empty((n, width // 3))
    # A level has no differences: it solves the system for the static precisions, and
    # is what rounding loses first.
    sides = np.column_stack([right, static.T.ravel()])
    # All dimensions of all clips are one banded system: no band couples two of them.
    try:
        both = solveh_banded(bands, sides, lower=True) if right.size else sides
    except LinAlgError:
        both = np.full_like(sides, np.nan)
    solved, level = both.T
    if not (np.all(np.isfinite(solved)) and np.all(np.abs(level - 1) < 1e-4)):
        raise ValueError(
            "variances of the static columns and of their differences are too far "
            "apart to solve for a trajectory; raise the smallest ones"
        )
    result[order] = solved.reshape(width // 3, n).T
    return result.astype(centre.dtype)


def _precisions(variances: npt.ArrayLike, shape: tuple[int, ...]) -> Float64:
    """Inverse variances for each row."""
    spread = np.asarray(variances, dtype=np.float64)
    if spread.shape not in (shape, shape[1:]):
        raise ValueError(
            f"variances have shape {spread.shape}; give {shape} or {shape[1:]}"
        )
    if not np.all(spread > 0):
        raise ValueError("variances must be greater than 0 (and not NaN)")
    if np.isinf(spread[..., : shape[1] // 3]).any():
        raise ValueError("variances of static columns must be finite")
    with np.errstate(over="ignore"):
        precision = 1 / spread
    if not np.all(np.isfinite(precision)):
        raise ValueError("variances are so small that their inverse overflows")
    return np.broadcast_to(precision, shape)


def _inner(labels: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Rows that have a neighbour in their clip on both sides."""
    inner = np.ones(len(labels), dtype=bool)
    for members in members_of(labels):
        inner[members[[0, -1]]] = False
    return inner


def _equations(
    static: Float64, delta: Float64, second: Float64, means: Float64
) -> tuple[Float64, Float64]:
    """Lower bands of Uᵀ D⁻¹ U, and Uᵀ D⁻¹ M, dimension after dimension in time."""
    mean, mean_delta, mean_second = np.split(means, 3, axis=1)
    side = 0.25 * delta + second
    right = static * mean - 2 * second * mean_second
    diagonal = static + 4 * second
    first, further = np.zeros_like(static), np.zeros_like(static)
    # Each inner row t adds to rows t - 1 and t + 1; edge rows have no precision.
    force, pull = 0.5 * delta * mean_delta, second * mean_second
    diagonal[:-1] += side[1:]
    diagonal[1:] += side[:-1]
    right[:-1] += (pull - force)[1:]
    right[1:] += (pull + force)[:-1]
    first[:-1] -= 2 * (second[:-1] + second[1:])
    further[:-2] += (second - 0.25 * delta)[1:-1]
    bands = np.stack([part.T.ravel() for part in (diagonal, first, further)])
    return bands, right.T.ravel()

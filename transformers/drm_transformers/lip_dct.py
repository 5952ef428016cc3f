"""Two-dimensional cosine transform of lip images."""

from __future__ import annotations

from math import isqrt, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dctn, idctn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from drm_transformers.parameters import check_input_names, is_positive_integer

__all__ = ["LipDCTTransformer"]

# Rows are transformed in blocks of about this many pixels, so that a uint8 image
# stack never needs a float copy of itself.
_BLOCK_PIXELS = 4_000_000


class LipDCTTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Low-frequency cosine coefficients of images.

    Each row is one grey image, or a stack of frames that are transformed one by
    one. The orthonormal two-dimensional DCT is taken and the lowest frequencies are
    kept in zigzag order.

    Parameters
    ----------
    image_shape : (int, int) or None, default=None
        Height and width in pixels. None: taken from 3-D or 4-D input; rows of 2-D
        input are square images where their width is a perfect square, and a single
        row of pixels otherwise. Flattened rows of several images are recognised
        only where `image_shape` is given.
    n_coefficients : int in [1, height * width] or None, default=None
        Coefficients kept per image. None: the smaller of 210 (twenty diagonals) and
        the number of pixels.

    Attributes
    ----------
    image_shape_ : (int, int)
        Height and width of one image.
    n_frames_ : int
        Images per row.
    row_shape_ : tuple of int
        Shape of one row as it came in; `inverse_transform` returns this shape.
    coefficient_indices_ : ndarray of shape (n_coefficients, 2)
        Vertical and horizontal frequency of each kept coefficient.
    n_features_in_ : int
        ``n_frames_ * height * width``, whichever shape came in.
    feature_names_in_ : ndarray of str
        Column names, where the input was a data frame.

    Notes
    -----
    With the pixels :math:`x_{ij}` of an :math:`H \\times W` image,

    .. math::

        c_{uv} = a_u b_v \\sum_{ij} x_{ij}
                 \\cos\\frac{\\pi u (2i+1)}{2H} \\cos\\frac{\\pi v (2j+1)}{2W},

    where :math:`a_0 = \\sqrt{1/H}`, :math:`a_u = \\sqrt{2/H}` otherwise, and
    :math:`b_v` alike. The basis is orthonormal: with all coefficients the sum of
    squares is kept, and with some of them `inverse_transform` is the closest image
    in their span, whose own coefficients are exactly the given ones.

    References
    ----------
    N. Ahmed, T. Natarajan, K. R. Rao, "Discrete cosine transform", IEEE Trans.
    Computers C-23(1), 1974.

    Examples
    --------
    >>> import numpy as np
    >>> from drm_transformers import LipDCTTransformer
    >>> lips = np.random.default_rng(0).uniform(0, 255, (20, 55, 55))
    >>> dct = LipDCTTransformer()
    >>> dct.fit_transform(lips).shape
    (20, 210)
    >>> dct.inverse_transform(dct.transform(lips)).shape
    (20, 55, 55)
    """

    # ONNX export reads the matrix off the unit vectors.
    _is_linear_map = True

    def __init__(
        self,
        image_shape: tuple[int, int] | None = None,
        n_coefficients: int | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.n_coefficients = n_coefficients

    def fit(self, X: ArrayLike, y: object = None) -> LipDCTTransformer:
        """Learn the image shape; no statistics are kept.

        Parameters
        ----------
        X : array-like of shape (n, pixels), (n, height, width) or \
                (n, frames, height, width)
            Grey values in any unit.
        y : None
            Ignored.

        Returns
        -------
        self : LipDCTTransformer

        Raises
        ------
        ValueError
            If a value is not finite, the rows do not hold whole images of
            `image_shape` or look like pictures with channels, or `n_coefficients` is
            out of range.
        """
        flat, row_shape = self._flatten(X, reset=True)
        self.image_shape_ = self._infer_image_shape(row_shape)
        self.row_shape_ = row_shape
        self.n_frames_ = flat.shape[1] // prod(self.image_shape_)
        self.coefficient_indices_ = _zigzag(*self.image_shape_)[: self._count()]
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Cosine coefficients of images.

        Parameters
        ----------
        X : array-like of shape (n, pixels), (n, height, width) or \
                (n, frames, height, width)
            Images of the fitted shape, flattened or not.

        Returns
        -------
        coefficients : ndarray of shape (n, n_frames_ * n_coefficients)
            float32 for float32 input, float64 otherwise; frame by frame.

        Raises
        ------
        ValueError
            If a value is not finite, the shape is not the fitted one, or a
            coefficient is too large for the floating-point type.
        """
        check_is_fitted(self)
        flat, _ = self._flatten(X, reset=False)
        dtype = np.float32 if flat.dtype == np.float32 else np.float64
        n, per_frame = len(flat), len(self.coefficient_indices_)
        rows, columns = self.coefficient_indices_.T
        result = np.empty((n, self.n_frames_ * per_frame), dtype)
        for block in self._blocks(n):
            images = flat[block].astype(dtype, copy=False)
            images = images.reshape(-1, self.n_frames_, *self.image_shape_)
            spectrum = dctn(images, axes=(2, 3), norm="ortho")
            kept = spectrum[:, :, rows, columns]
            result[block] = kept.reshape(len(kept), -1)
        _require_finite(result, "cosine coefficients")
        return result

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """Images from cosine coefficients.

        Parameters
        ----------
        X : array-like of shape (n, n_frames_ * n_coefficients)
            Coefficients; those that were not kept are taken as zero.

        Returns
        -------
        images : ndarray of shape (n, *row_shape_)
            In the layout that `fit` saw; float32 for float32 input, float64
            otherwise. Values are not clipped to a grey scale.

        Raises
        ------
        ValueError
            If a value is not finite or the number of columns is wrong.
        """
        check_is_fitted(self)
        coefficients = check_array(X, dtype=[np.float64, np.float32])
        n, per_frame = len(coefficients), len(self.coefficient_indices_)
        if coefficients.shape[1] != self.n_frames_ * per_frame:
            raise ValueError(
                f"X has {coefficients.shape[1]} features, but "
                f"{type(self).__name__}.inverse_transform is expecting "
                f"{self.n_frames_ * per_frame} features as input."
            )
        rows, columns = self.coefficient_indices_.T
        result = np.empty((n, self.n_features_in_), coefficients.dtype)
        for block in self._blocks(n):
            kept = coefficients[block].reshape(-1, self.n_frames_, per_frame)
            spectrum = np.zeros((*kept.shape[:2], *self.image_shape_), kept.dtype)
            spectrum[:, :, rows, columns] = kept
            images = idctn(spectrum, axes=(2, 3), norm="ortho", overwrite_x=True)
            result[block] = images.reshape(len(images), -1)
        _require_finite(result, "pixels")
        return result.reshape(n, *self.row_shape_)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Any:
        """Names such as ``dct_3_0`` (vertical, horizontal frequency).

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Must be the columns of the fit, where given.

        Returns
        -------
        names : ndarray of str objects
            Stacks of frames are prefixed, ``frame1_dct_3_0``.
        """
        check_is_fitted(self)
        check_input_names(self, input_features)
        kept = [f"dct_{u}_{v}" for u, v in self.coefficient_indices_]
        if self.n_frames_ > 1:
            kept = [f"frame{t}_{k}" for t in range(self.n_frames_) for k in kept]
        return np.asarray(kept, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.three_d_array = True
        return tags

    def _flatten(
        self, X: ArrayLike, *, reset: bool
    ) -> tuple[NDArray[Any], tuple[int, ...]]:
        """Rows of pixels in their own numeric type, and the shape of one row."""
        images: Any = X if hasattr(X, "shape") else np.asarray(X)
        if len(images.shape) in (3, 4):
            images = check_array(images, dtype="numeric", allow_nd=True)
            row_shape = tuple(int(size) for size in images.shape[1:])
            if not reset:
                self._check_image_axes(row_shape)
            images = images.reshape(len(images), prod(row_shape))
            flat = validate_data(self, images, dtype="numeric", reset=reset)
            return flat, row_shape
        # "numeric" keeps the type: integers need no float copy of all rows.
        flat = validate_data(self, images, dtype="numeric", reset=reset)
        return flat, flat.shape[1:]

    def _check_image_axes(self, row_shape: tuple[int, ...]) -> None:
        if row_shape[-2:] != self.image_shape_:
            raise ValueError(
                f"X has images of {row_shape[-2]} x {row_shape[-1]} pixels, but "
                f"{type(self).__name__} was fitted with "
                f"{self.image_shape_[0]} x {self.image_shape_[1]}."
            )

    def _infer_image_shape(self, row_shape: tuple[int, ...]) -> tuple[int, int]:
        width = prod(row_shape)
        if self.image_shape is None:
            if _ends_in_channels(row_shape):
                raise ValueError(
                    f"rows of shape {row_shape} look like pictures with channels; "
                    "give grey pictures (height, width), or "
                    f"image_shape={row_shape[1:]} if they are {row_shape[0]} frames "
                    "of that size."
                )
            if len(row_shape) > 1:
                return row_shape[-2], row_shape[-1]
            side = isqrt(width)
            return (side, side) if side * side == width else (1, width)
        sizes = tuple(np.atleast_1d(np.asarray(self.image_shape, dtype=object)))
        if len(sizes) != 2 or not all(is_positive_integer(size) for size in sizes):
            raise ValueError(
                "image_shape must be None or two positive integers (height, width), "
                f"got {self.image_shape!r}."
            )
        height, columns = int(sizes[0]), int(sizes[1])
        if width % (height * columns) or (
            len(row_shape) > 1 and row_shape[-2:] != (height, columns)
        ):
            raise ValueError(
                f"image_shape={self.image_shape!r} does not fit rows of shape "
                f"{row_shape}: give the height and width of the images in X."
            )
        return height, columns

    def _count(self) -> int:
        pixels = prod(self.image_shape_)
        if self.n_coefficients is None:
            return min(210, pixels)
        if not is_positive_integer(self.n_coefficients) or self.n_coefficients > pixels:
            raise ValueError(
                f"n_coefficients must be None or an integer from 1 to {pixels} (the "
                f"pixels of one image), got {self.n_coefficients!r}."
            )
        return int(self.n_coefficients)

    def _blocks(self, n_rows: int) -> list[slice]:
        step = max(1, _BLOCK_PIXELS // self.n_features_in_)
        return [slice(start, start + step) for start in range(0, n_rows, step)]


def _ends_in_channels(row_shape: tuple[int, ...]) -> bool:
    """Whether a row is rather (height, width, channels) than frames of an image."""
    return len(row_shape) == 3 and row_shape[2] in (1, 3, 4) and min(row_shape[:2]) >= 8


def _zigzag(height: int, width: int) -> NDArray[np.intp]:
    """Frequencies by anti-diagonal, every other diagonal reversed (as in JPEG)."""
    rows, columns = np.divmod(np.arange(height * width), width)
    diagonal = rows + columns
    along = np.where(diagonal % 2 == 0, columns, rows)
    order = np.lexsort((along, diagonal))
    return np.column_stack((rows, columns))[order].astype(np.intp)


def _require_finite(values: NDArray[Any], what: str) -> None:
    if not np.isfinite(values).all():
        raise ValueError(
            f"{what} overflow {values.dtype}: scale the input down, or pass float64."
        )

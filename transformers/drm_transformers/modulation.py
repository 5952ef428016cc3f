"""Give predicted trajectories the modulation spectrum of natural ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from drm_transformers._filter_rows import checked_columns, checked_pair, checked_rows
from drm_transformers._groups import members_of

__all__ = ["ModulationSpectrumFilter", "modulation_spectrum"]

FloatArray = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

# Power below this share of a column's own is taken for rounding error.
_FLOOR = 1e-12
# Largest log power, in standard deviations above the natural mean. Powers of a random
# movement are spread exponentially: fewer than one in 10^10 of those lies so high.
_LARGEST_DEVIATION = 3.0
# Largest change of a modulation frequency, in natural-log amplitude (60 dB).
_LARGEST_GAIN = np.log(1000.0)


def modulation_spectrum(
    rows: npt.ArrayLike, groups: npt.ArrayLike | None, n_fft: int | None = None
) -> Float64:
    r"""Power of each column's movements at each modulation frequency, clip by clip.

    Parameters
    ----------
    rows : array-like of shape (n, d)
        Rows of one or several clips, those of a clip in time order.
    groups : array-like of shape (n,) or None
        Clip of each row; None: all one clip.
    n_fft : int, optional
        Length that clips are padded to with zeros; None: that of the longest.

    Returns
    -------
    ndarray of shape (n_clips, n_fft // 2 + 1, d), range [0, inf)
        :math:`|F(y - \bar y)|^2 / T` for clips of T rows in the sorted order of
        their names. Modulation frequency f · rate / n_fft in row f.

    Raises
    ------
    ValueError
        Shapes do not match, there are no rows, a value is not finite, or a clip is
        longer than n_fft.

    Examples
    --------
    >>> import numpy as np
    >>> wave = np.cos(2 * np.pi * 2 * np.arange(8) / 8)[:, None]
    >>> modulation_spectrum(wave, None)[0, :, 0].round(6)
    array([0., 0., 2., 0., 0.])
    """
    values, labels = checked_rows(rows, groups, "rows")
    clips = members_of(labels)
    length = max(map(len, clips)) if n_fft is None else n_fft
    spectra = [_transform(values[members], length) for members in clips]
    return np.stack(
        [
            np.abs(spectrum) ** 2 / len(members)
            for spectrum, members in zip(spectra, clips, strict=True)
        ]
    )


class ModulationSpectrumFilter(BaseEstimator):  # type: ignore[misc]
    r"""Give predicted trajectories the modulation spectrum of natural ones.

    Where `GlobalVarianceFilter` scales a whole trajectory, this one scales each
    modulation frequency by itself: predictions lack fast movements most.

    Parameters
    ----------
    strength : float in [0, 1], default=0.85
        Share of the way to the natural statistics.
    exclude : sequence of int, default=()
        Columns left as they are, for example 0 for c0.

    Attributes
    ----------
    n_fft_ : int
        Rows of the longest training clip; shorter ones are padded with zeros.
    natural_mean_, natural_std_, generated_mean_, generated_std_ : ndarray
        Of shape (n_fft_ // 2 + 1, d): moments of the log power over clips.
    n_features_in_ : int
        d.

    Notes
    -----
    With s the log power spectrum over time of one trajectory,
    :math:`s' = (1-k) s + k [\sigma_{nat}/\sigma_{gen} (s - \mu_{gen}) + \mu_{nat}]`,
    phase unchanged [1]_. A clip's mean is left as it is, and power is counted per row,
    so that clips of different lengths can be compared; for clips longer than those of
    the fit the moments are interpolated over frequency. On training clips of equal
    length the moments of s' are hit exactly at k = 1; where clips are padded, cutting
    the padding off again makes it approximate. No frequency changes by more than
    60 dB.

    References
    ----------
    .. [1] S. Takamichi, T. Toda, A. W. Black, G. Neubig, S. Sakti and S. Nakamura,
       "Postfilters to modify the modulation spectrum for statistical parametric
       speech synthesis", IEEE/ACM Trans. ASLP 24(4), 2016, pp. 755-767.

    Examples
    --------
    >>> import numpy as np
    >>> natural = np.random.default_rng(0).normal(size=(200, 1))
    >>> clips = np.repeat(np.arange(10), 20)
    >>> generated = natural / 4
    >>> filtered = ModulationSpectrumFilter(strength=1.0).fit(
    ...     natural, generated, clips).transform(generated, clips)
    >>> round(float(filtered.std() / natural.std()), 1)
    1.0
    """

    def __init__(self, *, strength: float = 0.85, exclude: Sequence[int] = ()) -> None:
        self.strength = strength
        self.exclude = exclude

    def fit(
        self,
        natural: npt.ArrayLike,
        generated: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
    ) -> ModulationSpectrumFilter:
        """Learn the moments of both log spectra.

        Parameters
        ----------
        natural, generated : array-like of shape (n, d)
            True and predicted rows of the same clips.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        ModulationSpectrumFilter
            The filter.

        Raises
        ------
        ValueError
            Shapes do not match, there are no rows, a value is not finite, or a
            parameter is out of its range.
        """
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength={self.strength!r}: must lie in [0, 1]")
        true, made, labels = checked_pair(natural, generated, groups)
        checked_columns(self.exclude, true.shape[1])
        self.n_fft_ = max(map(len, members_of(labels)))
        spectra = [modulation_spectrum(rows, labels) for rows in (true, made)]
        self.floor_ = np.maximum(
            _FLOOR * np.maximum(*(s.mean(axis=(0, 1)) for s in spectra)),
            np.finfo(np.float64).tiny,
        )
        logs = [np.log(spectrum + self.floor_) for spectrum in spectra]
        self.natural_mean_, self.generated_mean_ = (s.mean(axis=0) for s in logs)
        self.natural_std_, self.generated_std_ = (s.std(axis=0) for s in logs)
        self.n_features_in_ = true.shape[1]
        return self

    def transform(
        self, rows: npt.ArrayLike, groups: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Filter predicted rows, clip by clip.

        Parameters
        ----------
        rows : array-like of shape (n, d)
            Predicted rows, those of a clip in time order.
        groups : array-like of shape (n,), optional
            Clip of each row; None: all one clip.

        Returns
        -------
        ndarray of shape (n, d)

        Raises
        ------
        ValueError
            If rows have another width than in the fit, or a value is not finite.
        """
        check_is_fitted(self, "natural_mean_")
        values, labels = checked_rows(rows, groups, "rows", self.n_features_in_)
        made = values.astype(np.float64)
        result = made.copy()
        kept = checked_columns(self.exclude, made.shape[1])
        for members in members_of(labels):
            result[members] = self._filtered(made[members])
        result[:, kept] = made[:, kept]
        return np.asarray(result, values.dtype)

    def _filtered(self, clip: Float64) -> Float64:
        n_fft = max(self.n_fft_, len(clip))
        spectrum = _transform(clip, n_fft)
        power = np.abs(spectrum) ** 2 / len(clip)
        moments = [
            self._at_length(moment, n_fft)
            for moment in (
                self.natural_mean_,
                self.natural_std_,
                self.generated_mean_,
                self.generated_std_,
            )
        ]
        mean_to, std_to, mean_from, std_from = moments
        log_power = np.log(power + self.floor_)
        # One clip, or constant ones, say nothing about the spread.
        known = std_from > 1e-9
        ratio = np.where(known, std_to, 1) / np.where(known, std_from, 1)
        deviation = ratio * (log_power - mean_from)
        # Moments of few clips may stretch a new one beyond all that is natural.
        deviation = np.minimum(deviation, _LARGEST_DEVIATION * std_to)
        change = deviation * known + mean_to - np.where(known, log_power, mean_from)
        gain = np.clip(self.strength * change / 2, -_LARGEST_GAIN, _LARGEST_GAIN)
        filtered = np.fft.irfft(spectrum * np.exp(gain), n_fft, axis=0)[: len(clip)]
        # Cutting off what was padding can leave a mean.
        return np.asarray(clip.mean(axis=0) + filtered - filtered.mean(axis=0))

    def _at_length(self, moments: Float64, n_fft: int) -> Float64:
        """Moments at the frequencies of another transform length."""
        if n_fft == self.n_fft_ or self.n_fft_ == 1:
            return np.broadcast_to(moments, (n_fft // 2 + 1, moments.shape[1]))
        # Without clips' means there is no power at 0 Hz, which is no neighbour of the
        # lowest frequencies then: below the lowest known one its moments are taken.
        known = np.fft.rfftfreq(self.n_fft_)[1:]
        wanted = np.fft.rfftfreq(n_fft)
        columns = [np.interp(wanted, known, column[1:]) for column in moments.T]
        return np.stack(columns, axis=1)


def _transform(clip: FloatArray, n_fft: int) -> npt.NDArray[np.complex128]:
    if len(clip) > n_fft:
        raise ValueError(f"a clip of {len(clip)} rows is longer than n_fft={n_fft}")
    deviation = clip - clip.mean(axis=0, dtype=np.float64)
    return np.asarray(np.fft.rfft(deviation, n_fft, axis=0))

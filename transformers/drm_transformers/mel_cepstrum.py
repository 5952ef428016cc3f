"""Mel-cepstra of waveform windows or spectral envelopes, and the way back."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from drm_transformers.mel_spectrum import (
    check_warping,
    import_speech_library,
    mel_cepstral_alpha,
    mel_cepstrum_to_log_spectrum,
    mel_cepstrum_to_spectrum,
    spectrum_to_mel_cepstrum,
)
from drm_transformers.parameters import (
    check_choice,
    check_input_names,
    check_positive,
    is_positive_integer,
    whole_rate,
)
from drm_transformers.speech_codec import WindowCodec
from drm_transformers.speech_window import HOP, SpeechWindow

__all__ = [
    "MelCepstrumTransformer",
    "mel_cepstral_alpha",
    "mel_cepstrum_to_spectrum",
    "spectrum_to_mel_cepstrum",
]

FloatArray = NDArray[np.float64]


class MelCepstrumTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Mel-cepstra of waveform windows, by SPTK or WORLD.

    Each row is the waveform around one video-frame instant, which is the middle of
    the row, or the spectral envelope of that instant.

    Parameters
    ----------
    sample_rate : int, default=12_000
        Sampling rate of the analysis in Hz, a whole number; envelopes reach to half of
        it. Method "world" needs 8 kHz, `excitation` 12 kHz.
    input_sample_rate : int or None, default=None
        Sampling rate of the rows in Hz, brought to `sample_rate` by a polyphase
        filter. None: `sample_rate`. Not used for envelopes.
    n_coefficients : int, default=32
        Coefficients per mel-cepstrum, with c0.
    alpha : float in (-1, 1) or None, default=None
        All-pass constant; None: `mel_cepstral_alpha` of `sample_rate`.
    input : {"waveform", "spectrum"}, default="waveform"
        "waveform": samples in [-1, 1] (other scales work), of any number; 200 ms is
        a good width, and shorter rows are padded with zeros on both sides.
        "spectrum": power at ``fft_size // 2 + 1`` frequencies from 0 to half of
        `sample_rate`.
    method : {"sptk", "world"}, default="sptk"
        "sptk": unbiased log-spectral estimation on 25 ms frames (pysptk's ``mcep``).
        "world": mel-cepstrum of WORLD's envelope (pyworld). For envelopes both are
        the same.
    frame_period : float, default=0.04
        Time in seconds, around the middle of the row, that a row stands for; it is
        covered by hops of 5 ms.
    per_hop : bool, default=False
        False: the mean over the hops. True: every hop, one after the other; rows of
        envelopes then hold one envelope per hop.
    excitation : bool, default=False
        Append, per hop or as the mean, the natural logarithm of the pitch in Hz
        (interpolated where unvoiced; 120 Hz where all is unvoiced), voicing (0 to
        1) and WORLD's band aperiodicity in dB. Only for waveforms.

    Attributes
    ----------
    alpha_ : float
        All-pass constant used.
    n_hops_ : int
        Hops in `frame_period`; 1 for envelopes without `per_hop`.
    n_bands_ : int
        Bands of aperiodicity.
    fft_size_ : int
        Points of the spectrum.
    n_features_in_ : int
        Width of a row.
    feature_names_in_ : ndarray of str
        Column names, where the input was a data frame.

    Notes
    -----
    The mel-cepstrum models :math:`\\ln|H(\\omega)| = \\sum_m c_m
    \\cos(m\\tilde\\omega)` over the warped frequency of `mel_cepstral_alpha`. Power
    of -120 dB (SPTK) against full scale is added to each bin, so that digital zero
    is finite. Times are measured from the middle of the row; nothing is taken from
    other rows.

    References
    ----------
    K. Tokuda, T. Kobayashi, T. Masuko, S. Imai, "Mel-generalized cepstral analysis",
    Proc. ICSLP, 1994.
    M. Morise, F. Yokomori, K. Ozawa, "WORLD: a vocoder-based high-quality speech
    synthesis system", IEICE Trans. Inf. & Syst. E99-D(7), 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from drm_transformers import MelCepstrumTransformer
    >>> speech = np.random.default_rng(0).normal(0, 0.1, (3, 2400))
    >>> transformer = MelCepstrumTransformer(sample_rate=12_000)
    >>> cepstra = transformer.fit_transform(speech)
    >>> cepstra.shape
    (3, 32)
    >>> again = transformer.transform(transformer.inverse_transform(cepstra))
    >>> bool(np.abs(again - cepstra).max() < 0.01)
    True
    """

    def __init__(
        self,
        sample_rate: int = 12_000,
        input_sample_rate: int | None = None,
        n_coefficients: int = 32,
        alpha: float | None = None,
        input: Literal["waveform", "spectrum"] = "waveform",
        method: Literal["sptk", "world"] = "sptk",
        frame_period: float = 0.04,
        per_hop: bool = False,
        excitation: bool = False,
    ) -> None:
        self.sample_rate = sample_rate
        self.input_sample_rate = input_sample_rate
        self.n_coefficients = n_coefficients
        self.alpha = alpha
        self.input = input
        self.method = method
        self.frame_period = frame_period
        self.per_hop = per_hop
        self.excitation = excitation

    def fit(self, X: ArrayLike, y: object = None) -> MelCepstrumTransformer:
        """Learn the width of a row; no statistics are kept.

        Parameters
        ----------
        X : array-like of shape (n, samples), (n, bins) or (n, hops * bins)
            Waveform windows, or power envelopes.
        y : None
            Ignored.

        Returns
        -------
        self : MelCepstrumTransformer

        Raises
        ------
        ValueError
            If a value is not finite, a power is negative, the width does not fit,
            or a parameter is out of range.
        """
        rows = self._validate(X, reset=True)
        self._check_parameters()
        self.alpha_ = (
            mel_cepstral_alpha(float(self.sample_rate))
            if self.alpha is None
            else float(self.alpha)
        )
        self.n_bands_ = 0
        hops = max(1, round(self.frame_period / HOP))
        if self.input == "spectrum":
            self.n_hops_ = hops if self.per_hop else 1
            n_bins, rest = divmod(rows.shape[1], self.n_hops_)
            if rest or n_bins < 2:
                raise ValueError(
                    f"X with {rows.shape[1]} feature(s) cannot hold {self.n_hops_} "
                    "envelope(s) of at least two bins each (fft_size // 2 + 1)."
                )
            self.fft_size_ = 2 * (n_bins - 1)
            return self
        self.n_hops_ = hops
        self.fft_size_ = self._waveform_fft_size()
        if self.excitation:
            pyworld = import_speech_library("pyworld")
            self.n_bands_ = int(pyworld.get_num_aperiodicities(int(self.sample_rate)))
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Mel-cepstra of rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_)
            Waveform windows, or power envelopes.

        Returns
        -------
        cepstra : ndarray of shape (n, n_coefficients), or (n, n_hops_ * \
                n_coefficients), then the excitation of as many hops
            float32 for float32 input, float64 otherwise; always computed in float64.

        Raises
        ------
        ValueError
            If a value is not finite, a power is negative, or the width is not the
            fitted one.
        """
        check_is_fitted(self)
        rows = self._validate(X, reset=False)
        order = self.n_coefficients - 1
        if self.input == "spectrum":
            envelopes = rows.astype(np.float64).reshape(len(rows), self.n_hops_, -1)
            cepstra = spectrum_to_mel_cepstrum(envelopes, order, self.alpha_)
            return np.asarray(cepstra.reshape(len(rows), -1).astype(rows.dtype))
        codec = self._codec()
        result = np.array([codec.analyze(row.astype(np.float64)) for row in rows])
        return np.asarray(result.astype(rows.dtype))

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """Windows or envelopes whose own mel-cepstra are the given ones.

        Parameters
        ----------
        X : array-like of shape (n, columns of `transform`)
            Mel-cepstra, and excitation where the transformer appends it.

        Returns
        -------
        rows : ndarray of shape (n, n_features_in_)
            Power envelopes, or waveforms: without `excitation` pulses at 100 Hz
            (SPTK; noise with `per_hop`) or 120 Hz (WORLD), with it pulses at the
            given pitch where voiced, else noise.

        Raises
        ------
        ValueError
            If a value is not finite or too large, or the number of columns is wrong.

        Notes
        -----
        What one row cannot hold is met in the sense of least squares only: rows
        shorter than the frames, more power than `input_sample_rate` carries above
        its half, or (with `per_hop`) mel-cepstra that overlapping frames cannot
        have together. Phase is not part of a mel-cepstrum: the waveform is not the
        one that the mel-cepstra came from. A waveform is found by iteration, which
        takes a tenth of a second a row, and several tenths at 8 or 44.1 kHz: predict
        thousands of rows in units of the mel-cepstra (`TwoViewRegressor.regressor_`).
        """
        check_is_fitted(self)
        columns = check_array(X, dtype=[np.float64, np.float32])
        cepstra, excitation = self._split(columns.astype(np.float64))
        # Refuses what would overflow, before any sound is made of it.
        mel_cepstrum_to_spectrum(cepstra, self.alpha_, self.fft_size_)
        if self.input == "spectrum":
            cepstra = cepstra @ self._spectrum_correction()
            envelopes = mel_cepstrum_to_spectrum(cepstra, self.alpha_, self.fft_size_)
            result = envelopes.reshape(len(columns), -1)
        else:
            codec = self._codec()
            extra = [None] * len(cepstra) if excitation is None else excitation
            pairs = zip(cepstra, extra, strict=True)
            result = np.array([codec.synthesize(*pair) for pair in pairs])
        with np.errstate(over="ignore"):
            result = result.astype(columns.dtype)
        if not np.isfinite(result).all():
            raise ValueError(
                f"the mel-cepstra are too large: their sound or power overflows "
                f"{result.dtype}; check that they are in natural-log units."
            )
        return np.asarray(result)

    def to_spectrogram(self, X: ArrayLike, fft_size: int | None = None) -> NDArray[Any]:
        """Log spectra of mel-cepstra, for pictures.

        Parameters
        ----------
        X : array-like of shape (n, columns of `transform`)
            Mel-cepstra; excitation is ignored.
        fft_size : int or None, default=None
            Even; None: `fft_size_`.

        Returns
        -------
        log_spectra : ndarray of shape (n, fft_size // 2 + 1), or \
                (n * n_hops_, fft_size // 2 + 1) with `per_hop`
            Natural logarithm of power (times 10 / ln 10: decibels), in time order
            where the rows are.

        Raises
        ------
        ValueError
            If a value is not finite or the number of columns is wrong.
        """
        check_is_fitted(self)
        columns = check_array(X, dtype=[np.float64, np.float32])
        cepstra, _ = self._split(columns.astype(np.float64))
        size = self.fft_size_ if fft_size is None else fft_size
        spectra = mel_cepstrum_to_log_spectrum(cepstra, self.alpha_, size)
        return np.asarray(spectra.reshape(-1, spectra.shape[-1]).astype(columns.dtype))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Any:
        """Names such as ``mc3``, ``hop2_mc3``, ``log_f0``, ``aperiodicity0``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Only checked against the names or the number of columns at fit.

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        check_input_names(self, input_features)
        prefixes = [f"hop{k}_" for k in range(self._n_blocks())]
        if not self.per_hop:
            prefixes = [""]
        names_out = [f"{p}mc{m}" for p in prefixes for m in range(self.n_coefficients)]
        if self.excitation:
            extra = ["log_f0", "voicing"]
            extra += [f"aperiodicity{band}" for band in range(self.n_bands_)]
            names_out += [f"{prefix}{name}" for prefix in prefixes for name in extra]
        return np.asarray(names_out, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.positive_only = self.input == "spectrum"
        return tags

    def _validate(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        rows = validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)
        if self.input == "spectrum":
            check_non_negative(rows, type(self).__name__)
        return np.asarray(rows)

    def _check_parameters(self) -> None:
        check_choice("input", self.input, ("waveform", "spectrum"))
        check_choice("method", self.method, ("sptk", "world"))
        whole_rate("sample_rate", self.sample_rate)
        check_positive("frame_period", self.frame_period, "seconds")
        if self.input_sample_rate is not None:
            whole_rate("input_sample_rate", self.input_sample_rate)
        if not is_positive_integer(self.n_coefficients):
            raise ValueError(
                "n_coefficients must be a positive integer, got "
                f"{self.n_coefficients!r}."
            )
        if self.alpha is not None:
            check_warping(0, self.alpha)
        if self.excitation and self.input == "spectrum":
            raise ValueError(
                'excitation=True needs input="waveform": an envelope has no pitch.'
            )
        if self.input == "waveform":
            if self.method == "world" and self.sample_rate < 8000:
                raise ValueError(
                    'method="world" needs sample_rate >= 8000 Hz, got '
                    f"{self.sample_rate!r}."
                )
            if self.excitation and self.sample_rate < 12_000:
                raise ValueError(
                    "excitation=True needs sample_rate >= 12000 Hz (WORLD's lowest "
                    f"band of aperiodicity), got {self.sample_rate!r}."
                )

    def _waveform_fft_size(self) -> int:
        needed = max(512, round(0.025 * self.sample_rate), 4 * self.n_coefficients)
        if self.method == "world" or self.excitation:
            pyworld = import_speech_library("pyworld")
            size = pyworld.get_cheaptrick_fft_size(
                int(self.sample_rate), pyworld.default_f0_floor
            )
            needed = max(needed, int(size))
        return 1 << (needed - 1).bit_length()

    def _codec(self) -> WindowCodec:
        input_rate = (
            self.sample_rate
            if self.input_sample_rate is None
            else self.input_sample_rate
        )
        window = SpeechWindow(
            n_samples=self.n_features_in_,
            input_rate=float(input_rate),
            rate=float(self.sample_rate),
            n_hops=self.n_hops_,
            fft_size=self.fft_size_,
        )
        return WindowCodec(
            window=window,
            n_coefficients=self.n_coefficients,
            alpha=self.alpha_,
            method=self.method,
            per_hop=self.per_hop,
            excitation=self.excitation,
        )

    def _n_blocks(self) -> int:
        return self.n_hops_ if self.per_hop else 1

    def _split(self, X: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Mel-cepstra (n, blocks, n_coefficients) and excitation of output columns."""
        blocks = self._n_blocks()
        n_cepstra = blocks * self.n_coefficients
        n_extra = 2 + self.n_bands_ if self.excitation else 0
        if X.shape[1] != n_cepstra + blocks * n_extra:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{n_cepstra + blocks * n_extra} features as input (the columns that "
                "transform returns)."
            )
        cepstra = X[:, :n_cepstra].reshape(len(X), blocks, self.n_coefficients)
        if not self.excitation:
            return cepstra, None
        return cepstra, X[:, n_cepstra:].reshape(len(X), blocks, n_extra)

    def _spectrum_correction(self) -> FloatArray:
        """Undoes what few bins make of a mel-cepstrum on the way there and back."""
        unit = np.eye(self.n_coefficients)
        log_spectra = mel_cepstrum_to_log_spectrum(unit, self.alpha_, self.fft_size_)
        there_and_back = spectrum_to_mel_cepstrum(
            np.exp(log_spectra), self.n_coefficients - 1, self.alpha_
        )
        if np.linalg.cond(there_and_back) > 100:
            return unit
        return np.asarray(np.linalg.inv(there_and_back))

"""Natural and predicted log spectra, one below the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from drm_transformers.mel_spectrum import (
    mel_cepstral_alpha,
    mel_cepstrum_to_log_spectrum,
)
from sklearn_drm.inspection._parts import pyplot

__all__ = ["SpectrogramDisplay"]


class SpectrogramDisplay:
    """Log spectra of mel-cepstra, natural against predicted, on one scale.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    spectra : dict of str to ndarray of shape (n_frames, n_bins)
        Level in dB by title.
    frame_rate : float
        Frames per second.
    sample_rate : float
        In Hz; the highest bin is half of it.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn in.
    axes_ : ndarray of matplotlib Axes of shape (n_spectra,)
        One per spectrogram.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech import SpectrogramDisplay
    >>> cepstra = np.zeros((10, 32))
    >>> display = SpectrogramDisplay.from_predictions(
    ...     cepstra, {"model": cepstra}, sample_rate=12_000, plot=False)
    >>> {title: level.shape for title, level in display.spectra.items()}
    {'natural': (10, 257), 'model': (10, 257)}
    """

    def __init__(
        self,
        spectra: dict[str, NDArray[np.float64]],
        frame_rate: float,
        sample_rate: float,
    ) -> None:
        self.spectra = spectra
        self.frame_rate = frame_rate
        self.sample_rate = sample_rate

    @classmethod
    def from_estimator(
        cls, converter: Any, features: Any, *, plot: bool = True, axes: Any = None
    ) -> SpectrogramDisplay:
        """A clip's own speech against what a converter makes of its lips.

        Parameters
        ----------
        converter : LipSpeechConverter
            Fitted.
        features : ClipFeatures
            One clip.
        plot : bool, default=True
            Whether to draw at once.
        axes : sequence of matplotlib Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        SpectrogramDisplay
            The display.

        Raises
        ------
        ValueError
            If the lip images do not have the size of those of the fit.
        """
        natural = converter.representation_.cepstrum.transform(features.envelope)
        speech = converter.lips_to_speech(features.lips)
        return cls.from_predictions(
            natural,
            {"predicted from the lips": speech.mel_cepstra},
            sample_rate=speech.sample_rate,
            alpha=converter.representation_.cepstrum.alpha_,
            frame_rate=converter.settings_.frame_rate,
            plot=plot,
            axes=axes,
        )

    @classmethod
    def from_predictions(
        cls,
        natural: ArrayLike,
        predicted: ArrayLike | Mapping[str, ArrayLike],
        *,
        sample_rate: float,
        alpha: float | None = None,
        frame_rate: float = 25.0,
        fft_size: int = 512,
        plot: bool = True,
        axes: Any = None,
    ) -> SpectrogramDisplay:
        """Spectra of mel-cepstra.

        Parameters
        ----------
        natural : array-like of shape (n_frames, n_coefficients)
            Mel-cepstra of the original, in natural-log amplitude.
        predicted : array-like of shape (n_frames, n_coefficients), or mapping
            Predicted mel-cepstra, or several by title.
        sample_rate : float
            In Hz.
        alpha : float in (-1, 1), optional
            Frequency warping; None: from the sampling rate.
        frame_rate : float, default=25.0
            Frames per second.
        fft_size : int, default=512
            Even; twice the number of frequency steps.
        plot : bool, default=True
            Whether to draw at once.
        axes : sequence of matplotlib Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        SpectrogramDisplay
            The display.

        Raises
        ------
        ValueError
            If mel-cepstra are not finite or have different numbers of frames.
        """
        if not isinstance(predicted, Mapping):
            predicted = {"predicted": predicted}
        if alpha is None:
            alpha = mel_cepstral_alpha(sample_rate)
        spectra = {}
        for title, cepstra in {"natural": natural, **predicted}.items():
            rows = check_array(cepstra, dtype=np.float64, input_name=title)
            log_power = mel_cepstrum_to_log_spectrum(rows, alpha, fft_size)
            spectra[title] = 10 / np.log(10) * np.asarray(log_power)
        lengths = {title: len(level) for title, level in spectra.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the mel-cepstra have different lengths: {lengths}.")
        display = cls(spectra, float(frame_rate), float(sample_rate))
        return display.plot(axes=axes) if plot else display

    def plot(
        self, *, axes: Any = None, range_db: float = 60.0, cmap: str = "magma"
    ) -> SpectrogramDisplay:
        """Draw the spectrograms.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional
            One per spectrogram; None: a new figure.
        range_db : float, default=60.0
            Decibels from the loudest point of the natural spectrogram to the darkest
            colour.
        cmap : str, default="magma"
            Colour map.

        Returns
        -------
        SpectrogramDisplay
            The display.

        Raises
        ------
        ValueError
            If the number of axes is not that of the spectrograms.
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot(self)
        count = len(self.spectra)
        if axes is None:
            _, axes = plt.subplots(
                count, 1, figsize=(8.0, 1.9 * count + 0.4), sharex=True,
                squeeze=False, layout="constrained",
            )  # fmt: skip
        self.axes_ = np.ravel(np.asarray(axes, dtype=object))
        if len(self.axes_) != count:
            raise ValueError(f"{count} axes are needed; got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        top = float(next(iter(self.spectra.values())).max())
        for axis, (title, level) in zip(self.axes_, self.spectra.items(), strict=True):
            seconds = len(level) / self.frame_rate
            picture = axis.imshow(
                level.T, origin="lower", aspect="auto", cmap=cmap,
                vmin=top - range_db, vmax=top, interpolation="nearest",
                extent=(0.0, seconds, 0.0, self.sample_rate / 2000),
            )  # fmt: skip
            axis.set_ylabel("kHz")
            axis.set_title(title, loc="left", fontsize=10, parse_math=False)
        self.axes_[-1].set_xlabel("time (s)")
        self.figure_.colorbar(picture, ax=list(self.axes_), label="level (dB)")
        return self

"""One model for both directions: lip images to speech and speech to lip images."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from drm_transformers.parameters import whole_rate
from drm_transformers.vocoder import synthesize
from sklearn_drm.lipspeech.features import (
    ClipFeatures,
    FeatureSettings,
    speech_features,
)
from sklearn_drm.lipspeech.limiter import within_full_scale
from sklearn_drm.lipspeech.model_file import ModelFileError, load_model, save_model
from sklearn_drm.lipspeech.recipe import default_regressor
from sklearn_drm.lipspeech.representation import (
    Views,
    fit_representation,
)

__all__ = ["LipSpeechConverter", "Speech"]

FloatArray = NDArray[np.float32]
Face = NDArray[np.uint8] | NDArray[np.floating[Any]]

# Raise the number when the attributes of a fitted converter change.
_FORMAT_KEY, _FORMAT = "_file_format", 2
# Strength of the linear baselines. Held-out R² of GRID training clips, speech / lips,
# with 100, 1000 and 5000: .227 / .134, .227 / .136, .217 / .135 after 200 clips, .036 /
# -.074, .125 / .052, .137 / .082 after 24 (four splits, script not kept).
_RIDGE = 1000.0


@dataclass(frozen=True)
class Speech:
    """Sound made from lips.

    Attributes
    ----------
    waveform : ndarray of shape (n_samples,), dtype float64
    sample_rate : int
        In Hz.
    mel_cepstra : ndarray of shape (n_frames, n_cepstra)
        One row per video frame.
    excitation : ndarray of shape (n_frames, 2 + n_bands)
        Log f0, voicing and coded aperiodicity.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm.lipspeech import Speech
    >>> silence = Speech(np.zeros(480), 12_000, np.zeros((1, 32)), np.zeros((1, 3)))
    >>> len(silence.waveform) / silence.sample_rate
    0.04
    """

    waveform: NDArray[np.float64]
    sample_rate: int
    mel_cepstra: FloatArray
    excitation: FloatArray


class LipSpeechConverter(BaseEstimator):  # type: ignore[misc]
    """Convert lip images to speech and speech to lip images with one model.

    Parameters
    ----------
    regressor : two-way regressor, optional
        Has `fit(X, y)`, `predict_y(X)` and `predict_x(y)`; None: a
        `GGDRMRegressor` with its defaults, a compromise of accuracy and time chosen
        on held-out training clips.
    context : int, range [0, inf), default=4
        Neighbouring frames on each side that are stacked on both views.
    remove_clip_mean : bool, default=True
        Remove each clip's mean from its lip features: where the mouth lies and
        how it is lit says nothing about the sound. It is given back from the
        target face on output. Of clips to convert, which can be of words alone, the
        most probable offset is taken off (`drm_transformers.ClipCenterer`).
    n_lip_components : int, range [1, inf), default=40
        Principal components kept of the lip images' discrete cosine transform.
    n_cepstra : int, range [2, inf), default=32
        Mel-cepstral coefficients, c0 included.
    excitation : {'joint', 'ridge'}, default='joint'
        Predict log f0, voicing and aperiodicity as further columns of the speech
        view, or by a ridge regression of their own.
    combine : {'centre', 'average'}, default='centre'
        With context, take each frame from the middle of its own prediction, or
        average all predictions of it.
    restore_level : bool, default=True
        Give loudness and voicing of generated speech the spread they have in the
        training clips. A conditional mean has less, which fills the pauses and
        flattens the rest. Figures of an evaluation do not use it.
    settings : FeatureSettings, optional
        How the clips were read; kept for reading further ones alike.
    random_state : int or None, default=None
        Seed of the regressor.
    verbose : int, default=0
        Passed to the regressor if it has it.

    Attributes
    ----------
    regressor_ : two-way regressor
        Fitted.
    representation_ : Representation
        Fitted maps between clips and the regressor's views.
    ridge_speech_, ridge_lips_ : sklearn.linear_model.Ridge
        A linear baseline in each direction on the same rows; `ridge_speech_`
        predicts mel-cepstra and excitation.
    clip_names_ : tuple of str
        Names of the training clips.
    loudness_, voicing_ : tuple of two ndarray of shape (51,)
        Quantiles of the training clips' predicted and true c0 and voicing.
    gain_ : float
        Added to c0 of generated speech, in natural-log amplitude.
    n_frames_ : int
        Number of training frames.
    fit_seconds_ : float
        Time that the regressor's fit took.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import (
    ...     FeatureSettings, LipSpeechConverter, clip_features, make_lip_speech)
    >>> settings = FeatureSettings(box=(0, 0, 110))
    >>> clips = make_lip_speech(n_clips=4, seconds=1.0, random_state=0)
    >>> features = [clip_features(clip, settings) for clip in clips]
    >>> converter = LipSpeechConverter(context=1, settings=settings, random_state=0)
    >>> speech = converter.fit(features[:3]).lips_to_speech(features[3].lips)
    >>> speech.waveform.shape, speech.sample_rate
    ((12000,), 12000)
    >>> converter.speech_to_lips(speech.waveform, speech.sample_rate).shape
    (25, 55, 55)
    """

    def __init__(
        self,
        regressor: Any = None,
        *,
        context: int = 4,
        remove_clip_mean: bool = True,
        n_lip_components: int = 40,
        n_cepstra: int = 32,
        excitation: str = "joint",
        combine: str = "centre",
        restore_level: bool = True,
        settings: FeatureSettings | None = None,
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.regressor = regressor
        self.context = context
        self.remove_clip_mean = remove_clip_mean
        self.n_lip_components = n_lip_components
        self.n_cepstra = n_cepstra
        self.excitation = excitation
        self.combine = combine
        self.restore_level = restore_level
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, features: Sequence[ClipFeatures], y: None = None
    ) -> LipSpeechConverter:
        """Fit on clips.

        Parameters
        ----------
        features : sequence of ClipFeatures
            At least two frames in all; early stopping sets whole clips aside.
        y : None
            Ignored.

        Returns
        -------
        LipSpeechConverter

        Raises
        ------
        ValueError
            If there is too little to fit on, a parameter is out of range, or the clips
            were not read with `settings`.
        """
        self._check(features)
        self.representation_ = fit_representation(
            features,
            self.settings or FeatureSettings(),
            context=self.context,
            remove_clip_mean=self.remove_clip_mean,
            with_excitation=self.excitation == "joint",
            n_lips=self.n_lip_components,
            n_cepstra=self.n_cepstra,
        )
        views = self.representation_.views(features)
        self.clip_names_ = tuple(f.name for f in features)
        self.n_frames_ = len(views.groups)
        sounds = np.concatenate([views.cepstra, views.excitation], axis=1)
        self.ridge_speech_ = Ridge(_RIDGE).fit(views.lips_in, sounds)
        self.ridge_lips_ = Ridge(_RIDGE).fit(views.speech_in, views.lips_centred)
        self.regressor_ = self._prepared_regressor()
        extra = {}
        if has_fit_parameter(self.regressor_, "groups"):
            extra["groups"] = views.groups
        began = time.perf_counter()
        self.regressor_.fit(views.lips_in, views.speech_in, **extra)
        self.fit_seconds_ = time.perf_counter() - began
        self._fit_level(self.representation_.as_converted(views))
        return self

    def _check(self, features: Sequence[ClipFeatures]) -> None:
        for name, least in (("context", 0), ("n_lip_components", 1), ("n_cepstra", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise ValueError(f"{name} must be an integer, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be {least} or more, got {value}")
        if self.excitation not in ("joint", "ridge"):
            raise ValueError(
                f"excitation must be 'joint' or 'ridge', got {self.excitation!r}"
            )
        if self.combine not in ("centre", "average"):
            raise ValueError(
                f"combine must be 'centre' or 'average', got {self.combine!r}"
            )
        n_frames = sum(len(f.lips) for f in features)
        if n_frames < 2:
            raise ValueError(
                f"{n_frames} frames in {len(features)} clips are too few to fit on; "
                "give more clips"
            )

    def _prepared_regressor(self) -> Any:
        if self.regressor is None:
            regressor = default_regressor()
        else:
            regressor = clone(self.regressor)
        known = regressor.get_params(deep=False)
        wanted: dict[str, Any] = {"verbose": self.verbose}
        if self.random_state is not None:
            wanted["random_state"] = self.random_state
        if self.context and self.combine == "centre":
            k = self.context
            n_x, n_y = self.representation_.n_lips, self.representation_.n_speech
            wanted["x_target"] = slice(k * n_x, (k + 1) * n_x)
            wanted["y_target"] = slice(k * n_y, (k + 1) * n_y)
        return regressor.set_params(
            **{name: value for name, value in wanted.items() if name in known}
        )

    @property
    def settings_(self) -> FeatureSettings:
        """How the training clips were read, with the size that a given box is for."""
        check_is_fitted(self, "representation_")
        return self.representation_.settings

    def predict_views(self, views: Views) -> tuple[FloatArray, FloatArray]:
        """Predict each view from the other, in standardised units.

        Parameters
        ----------
        views : Views
            From `representation_.views`.

        Returns
        -------
        cepstra : ndarray of shape (n_rows, n_cepstra)
        lips : ndarray of shape (n_rows, n_lips)
            Deviations from the training mean, or from the clip's own mean where
            the converter removes it.
        """
        check_is_fitted(self, "regressor_")
        cepstra, _ = self._predict_speech(views.lips_in, views.groups)
        return cepstra, self._predict_lips(views.speech_in, views.groups)

    def lips_to_speech(
        self, lips: NDArray[np.uint8], *, n_samples: int | None = None
    ) -> Speech:
        """Make sound for the lip images of one clip.

        Parameters
        ----------
        lips : ndarray of shape (n_frames, size, size), range [0, 255]
            Consecutive images at `settings_.frame_rate`.
        n_samples : int, optional
            Length of the sound; None: that of the images.

        Returns
        -------
        Speech
        """
        check_is_fitted(self, "regressor_")
        cepstra, source = self._predict_speech(self.representation_.lip_input(lips))
        if self.restore_level:
            cepstra, source = self._with_level(cepstra, source)
        mel = self.representation_.mel_cepstra(cepstra)
        if self.restore_level:
            mel[:, 0] += self.gain_
        scaler = self.representation_.excitation_scaler
        excitation = np.asarray(scaler.inverse_transform(source), dtype=np.float32)
        return self._synthesized(mel, excitation, n_samples)

    def resynthesize(self, features: ClipFeatures) -> Speech:
        """Sound of a clip's own features: the best that any prediction can reach.

        Parameters
        ----------
        features : ClipFeatures

        Returns
        -------
        Speech
        """
        check_is_fitted(self, "regressor_")
        mel = self.representation_.cepstrum.transform(features.envelope)
        return self._synthesized(mel, features.excitation, None)

    def speech_to_lips(
        self,
        waveform: NDArray[np.float64],
        sample_rate: int,
        *,
        n_frames: int | None = None,
        face: Face | None = None,
    ) -> NDArray[np.uint8]:
        """Make lip images for a sound.

        Parameters
        ----------
        waveform : ndarray of shape (n_samples,), range [-1, 1]
        sample_rate : int
            In Hz.
        n_frames : int, optional
            Number of images; None: enough to cover the sound.
        face : ndarray of shape (size, size), range [0, 255], optional
            Mean lip image of the face to move; None: the mean training image.

        Returns
        -------
        ndarray of shape (n_frames, size, size), dtype uint8

        Raises
        ------
        ValueError
            If the sound is empty or not finite, or the rate no whole number of Hz.
        """
        settings = self.settings_
        sample_rate = whole_rate("sample_rate", sample_rate)
        if n_frames is None:
            seconds = len(waveform) / sample_rate
            n_frames = max(1, int(np.ceil(seconds * settings.frame_rate - 1e-6)))
        envelope, excitation = speech_features(
            waveform, sample_rate, n_frames, settings
        )
        return self._lips_of(envelope, excitation, face)

    def features_to_lips(
        self, features: ClipFeatures, *, face: Face | None = None
    ) -> NDArray[np.uint8]:
        """Make lip images for the speech features of one clip.

        Parameters
        ----------
        features : ClipFeatures
            Its lip images are not used.
        face : ndarray of shape (size, size), range [0, 255], optional
            As in `speech_to_lips`.

        Returns
        -------
        ndarray of shape (n_frames, size, size), dtype uint8
        """
        check_is_fitted(self, "regressor_")
        return self._lips_of(features.envelope, features.excitation, face)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted converter to a file, whole or not at all.

        Parameters
        ----------
        path : path-like
        """
        save_model(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> LipSpeechConverter:
        """Read a converter that `save` wrote.

        Parameters
        ----------
        path : path-like
            Only a file that you trust: reading it can run code.

        Returns
        -------
        LipSpeechConverter

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, of another version or not a model.
        """
        return load_model(path, LipSpeechConverter)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), _FORMAT_KEY: _FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        found = state.pop(_FORMAT_KEY, None)
        if found != _FORMAT:
            raise ModelFileError(
                f"a model of format {found}, this version of sklearn-drm reads "
                f"{_FORMAT}; fit the model again"
            )
        super().__setstate__(state)

    def _lips_of(
        self, envelope: FloatArray, excitation: FloatArray, face: Face | None
    ) -> NDArray[np.uint8]:
        rows = self.representation_.speech_input(envelope, excitation)
        pixels = self.representation_.pixels(self._predict_lips(rows), face=face)
        return np.asarray(np.round(pixels), dtype=np.uint8)

    def _synthesized(
        self, mel: FloatArray, excitation: FloatArray, n_samples: int | None
    ) -> Speech:
        settings = self.settings_
        if n_samples is None:
            n_samples = round(len(mel) * settings.sample_rate / settings.frame_rate)
        waveform = synthesize(
            mel.astype(np.float64),
            excitation.astype(np.float64),
            frame_rate=settings.frame_rate,
            n_samples=n_samples,
            sample_rate=settings.sample_rate,
        )
        waveform = within_full_scale(waveform, settings.sample_rate)
        return Speech(waveform, settings.sample_rate, mel, excitation)

    def _predict_speech(
        self, lips_in: FloatArray, groups: NDArray[np.intp] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Standardised mel-cepstra and excitation."""
        n = self.representation_.n_cepstra
        speech = self.representation_.one_frame(
            self.regressor_.predict_y(lips_in),
            groups,
            average=self.combine == "average",
        )
        if self.representation_.with_excitation:
            return speech[:, :n], speech[:, n:]
        linear = self.ridge_speech_.predict(lips_in)
        return speech, np.asarray(linear[:, n:], dtype=np.float32)

    def _predict_lips(
        self, speech_in: FloatArray, groups: NDArray[np.intp] | None = None
    ) -> FloatArray:
        return self.representation_.one_frame(
            self.regressor_.predict_x(speech_in),
            groups,
            average=self.combine == "average",
        )

    def _fit_level(self, views: Views) -> None:
        """How far predictions on the training clips are from real loudness.

        Loudness and voicing are corrected by quantiles. What then lacks in power,
        since a conditional mean has less pronounced formants, is one gain.
        """
        cepstra, source = self._predict_speech(views.lips_in, views.groups)
        shares = np.linspace(0, 1, 51)
        self.loudness_, self.voicing_ = (
            (np.quantile(predicted, shares), np.quantile(true, shares))
            for predicted, true in (
                (cepstra[:, 0], views.cepstra[:, 0]),
                (source[:, 1], views.excitation[:, 1]),
            )
        )
        some = slice(None, None, max(1, len(cepstra) // 2000))
        louder, _ = self._with_level(cepstra[some], source[some])
        have, want = (
            np.mean(self.representation_.spectrum(rows))
            for rows in (louder, views.cepstra[some])
        )
        # c0 is half of log power. More than 9 dB would be a fault, not a gain.
        self.gain_ = float(np.clip(0.5 * np.log(want / have), -1, 1))

    def _with_level(
        self, cepstra: FloatArray, source: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        cepstra, source = cepstra.copy(), source.copy()
        cepstra[:, 0] = np.interp(cepstra[:, 0], *self.loudness_)
        source[:, 1] = np.interp(source[:, 1], *self.voicing_)
        return cepstra, source

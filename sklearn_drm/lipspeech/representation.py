"""Clips as the two standardised views of the model, and back."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from drm_transformers.clip_centerer import ClipCenterer
from drm_transformers.lip_dct import LipDCTTransformer
from drm_transformers.mel_cepstrum import MelCepstrumTransformer
from drm_transformers.trajectory import average_context, group_means, stack_context
from sklearn_drm.lipspeech.features import (
    ClipFeatures,
    FeatureSettings,
    check_features,
)

__all__ = ["Representation", "Views", "fit_representation"]

# Cosine coefficients of an image that are kept, where no more components are asked for.
_N_COSINES = 210

# Variance of a component in squared grey levels below which it is rounding error, as
# where there are as many components as frames. Scaled to 1 that drowns other clips.
_STILL = 1e-9

FloatArray = NDArray[np.float32]
Groups = NDArray[np.intp]


@dataclass(frozen=True)
class Views:
    """Clips as the two views of the model, rows are video frames.

    Attributes
    ----------
    groups : ndarray of shape (n_rows,)
        Number of the clip that a row belongs to.
    images : ndarray of shape (n_rows, size, size), dtype uint8
        Lip images.
    lips : ndarray of shape (n_rows, n_lips)
        Lip features, standardised with training statistics.
    lips_centred : ndarray of shape (n_rows, n_lips)
        The same without the clip's own mean, if that is removed: what is learned.
    cepstra : ndarray of shape (n_rows, n_cepstra)
        Mel-cepstra, standardised with training statistics.
    excitation : ndarray of shape (n_rows, 2 + n_bands)
        Log f0, voicing and aperiodicity, standardised likewise.
    lips_in, speech_in : ndarray
        What the model is given: lips without the clip's mean or offset, and
        mel-cepstra with or without excitation, each with its neighbouring frames beside
        it.

    Examples
    --------
    See :class:`Representation`, whose ``views`` makes them.
    """

    groups: Groups
    images: NDArray[np.uint8]
    lips: FloatArray
    lips_centred: FloatArray
    cepstra: FloatArray
    excitation: FloatArray
    lips_in: FloatArray
    speech_in: FloatArray


@dataclass(frozen=True)
class Representation:
    """Fitted maps between clips and views; made by `fit_representation`.

    Attributes
    ----------
    lips : transformer
        Lip images to standardised principal components of their cosine transform.
    centerer : drm_transformers.ClipCenterer or None
        Takes a clip's offset off its lip features, whatever part of a clip it is; None
        where clips keep their mean, or no picture differs from another.
    cepstrum : MelCepstrumTransformer
        Power envelopes to mel-cepstra.
    cepstrum_scaler, excitation_scaler : sklearn.preprocessing.StandardScaler
    mean_image : ndarray of shape (size, size)
        Mean training lip image.
    settings : FeatureSettings
        How the clips were read, and the size of their pictures where the mouth's
        place in them was given.
    context : int
        Neighbouring frames on each side.
    with_excitation : bool
        Whether excitation is part of the speech view.

    Examples
    --------
    >>> from sklearn_drm import GGDRMRegressor
    >>> from sklearn_drm.lipspeech import (FeatureSettings, LipSpeechConverter,
    ...                                    clip_features, make_lip_speech)
    >>> settings = FeatureSettings(box=(0, 0, 110))
    >>> clips = [clip_features(clip, settings)
    ...          for clip in make_lip_speech(3, 0.8, random_state=0)]
    >>> small = GGDRMRegressor(n_hidden_units=8, fine_tune_epochs=2, random_state=0)
    >>> maps = LipSpeechConverter(small, context=1).fit(clips).representation_
    >>> views = maps.views(clips)
    >>> views.lips_in.shape[1] == 3 * maps.n_lips  # each frame and its neighbours
    True
    """

    lips: Any
    centerer: ClipCenterer | None
    cepstrum: Any
    cepstrum_scaler: Any
    excitation_scaler: Any
    mean_image: FloatArray
    settings: FeatureSettings
    context: int
    with_excitation: bool

    @property
    def n_lips(self) -> int:
        """Columns of the lip view, one frame."""
        return int(self.lips[-1].n_features_in_)

    @property
    def n_cepstra(self) -> int:
        """Mel-cepstral coefficients, c0 included."""
        return int(self.cepstrum_scaler.n_features_in_)

    @property
    def n_speech(self) -> int:
        """Columns of the speech view, one frame."""
        extra = self.excitation_scaler.n_features_in_ if self.with_excitation else 0
        return self.n_cepstra + int(extra)

    def views(self, features: Sequence[ClipFeatures]) -> Views:
        """The two views of training clips, and of others like them.

        Parameters
        ----------
        features : sequence of ClipFeatures

        Returns
        -------
        Views

        Raises
        ------
        ValueError
            If there are none, or they were read with other settings than the fit's.
        """
        check_features(features, self.settings)
        groups = np.repeat(np.arange(len(features)), [len(f.lips) for f in features])
        images = np.concatenate([f.lips for f in features])
        lips = _float32(self.lips.transform(images))
        centred = lips
        if self.centerer is not None:
            centred = _float32(lips - group_means(lips, groups))
        cepstra, excitation = self._speech_rows(
            np.concatenate([f.envelope for f in features]),
            np.concatenate([f.excitation for f in features]),
        )
        return Views(
            groups=groups,
            images=images,
            lips=lips,
            lips_centred=centred,
            cepstra=cepstra,
            excitation=excitation,
            lips_in=self._stacked(centred, groups),
            speech_in=self._speech_input(cepstra, excitation, groups),
        )

    def as_converted(self, views: Views) -> Views:
        """The views with what the model is given of the lips at a conversion.

        Parameters
        ----------
        views : Views
            Of clips, or of parts of them.

        Returns
        -------
        Views
            `lips_in` has lost each clip's most probable offset, not its mean.
        """
        if self.centerer is None:
            return views
        lips = _float32(self.centerer.transform(views.lips, views.groups))
        return replace(views, lips_in=self._stacked(lips, views.groups))

    def lip_input(self, images: NDArray[Any]) -> FloatArray:
        """What the model is given for the lip images of one clip, or a part of one.

        Parameters
        ----------
        images : ndarray of shape (n_frames, size, size), range [0, 255]

        Returns
        -------
        ndarray of shape (n_frames, (2 * context + 1) * n_lips)

        Raises
        ------
        ValueError
            If the images have another size than those of the fit.
        """
        lips = _float32(self.lips.transform(self.checked(images, "lips")))
        if self.centerer is not None:
            lips = _float32(self.centerer.transform(lips))
        return self._stacked(lips, np.zeros(len(lips), dtype=np.intp))

    def speech_input(self, envelope: FloatArray, excitation: FloatArray) -> FloatArray:
        """What the model is given for the speech of one clip.

        Parameters
        ----------
        envelope : ndarray of shape (n_frames, n_bins)
        excitation : ndarray of shape (n_frames, 2 + n_bands)

        Returns
        -------
        ndarray of shape (n_frames, (2 * context + 1) * n_speech)
        """
        groups = np.zeros(len(envelope), dtype=np.intp)
        return self._speech_input(*self._speech_rows(envelope, excitation), groups)

    def one_frame(
        self, rows: NDArray[Any], groups: Groups | None = None, *, average: bool = False
    ) -> FloatArray:
        """Predictions with neighbouring frames as one per frame.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, (2 * context + 1) * d)
        groups : ndarray of shape (n_rows,), optional
            None: all rows are of one clip.
        average : bool, default=False
            Average all predictions of a frame, not only take the middle one.

        Returns
        -------
        ndarray of shape (n_rows, d)
        """
        k = self.context
        if not k:
            return _float32(rows)
        if average:
            if groups is None:
                groups = np.zeros(len(rows), dtype=np.intp)
            return _float32(average_context(rows, groups, k))
        width = rows.shape[1] // (2 * k + 1)
        return _float32(rows[:, k * width : (k + 1) * width])

    def pixels(
        self, lips: FloatArray, *, face: NDArray[Any] | None = None
    ) -> FloatArray:
        """Images of standardised lip features, as movements of a face.

        Parameters
        ----------
        lips : ndarray of shape (n_rows, n_lips)
        face : ndarray of shape (size, size), range [0, 255], optional
            Image at the features' origin; None: the mean training image.

        Returns
        -------
        ndarray of shape (n_rows, size, size), range [0, 255]
        """
        base = self.mean_image
        if face is not None:
            base = _float32(self.checked(np.asarray(face)[None], "face")[0])
        # The features' images lack the finest detail, so only their movement is
        # added to a face that has it.
        still = self.lips.inverse_transform(np.zeros_like(lips[:1]))
        moved = self.lips.inverse_transform(lips)
        moved = moved.reshape(-1, *base.shape) - still.reshape(1, *base.shape)
        return _float32(np.clip(base + moved, 0, 255))

    def mel_cepstra(self, cepstra: FloatArray) -> FloatArray:
        """Mel-cepstra, in natural-log amplitude, from standardised ones.

        Parameters
        ----------
        cepstra : ndarray of shape (n_rows, n_cepstra)

        Returns
        -------
        ndarray of shape (n_rows, n_cepstra)
        """
        return _float32(self.cepstrum_scaler.inverse_transform(cepstra))

    def spectrum(self, cepstra: FloatArray) -> FloatArray:
        """Power envelopes of standardised mel-cepstra.

        Parameters
        ----------
        cepstra : ndarray of shape (n_rows, n_cepstra)

        Returns
        -------
        ndarray of shape (n_rows, n_bins)
        """
        return _float32(self.cepstrum.inverse_transform(self.mel_cepstra(cepstra)))

    def checked(self, images: NDArray[Any], name: str) -> NDArray[Any]:
        """The images, if they have the size of those of the fit.

        Parameters
        ----------
        images : ndarray of shape (n_frames, size, size)
            Lip images.
        name : str
            What they are, for the message.

        Returns
        -------
        ndarray
            The same images.

        Raises
        ------
        ValueError
            If there are none or they have another size.
        """
        size = self.mean_image.shape
        if images.ndim != 3 or images.shape[1:] != size or not len(images):
            raise ValueError(
                f"{name}: images of shape {images.shape}; this model takes "
                f"(n_frames, {size[0]}, {size[1]})"
            )
        return images

    def _speech_rows(
        self, envelope: FloatArray, excitation: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        cepstra = self.cepstrum.transform(envelope)
        return (
            _float32(self.cepstrum_scaler.transform(cepstra)),
            _float32(self.excitation_scaler.transform(excitation)),
        )

    def _speech_input(
        self, cepstra: FloatArray, excitation: FloatArray, groups: Groups
    ) -> FloatArray:
        rows = cepstra
        if self.with_excitation:
            rows = np.concatenate([cepstra, excitation], axis=1)
        return self._stacked(rows, groups)

    def _stacked(self, rows: FloatArray, groups: Groups) -> FloatArray:
        if not self.context:
            return rows
        return _float32(stack_context(rows, groups, self.context))


def fit_representation(
    features: Sequence[ClipFeatures],
    settings: FeatureSettings,
    *,
    context: int,
    remove_clip_mean: bool,
    with_excitation: bool,
    n_lips: int,
    n_cepstra: int,
) -> Representation:
    """Fit the maps between clips and views.

    Parameters
    ----------
    features : sequence of ClipFeatures
        Training clips.
    settings : FeatureSettings
        How they were read.
    context, with_excitation
        As in `Representation`.
    remove_clip_mean : bool
        Whether lip features go without their clip's mean, or offset.
    n_lips : int, range [1, inf)
        Principal components kept, fewer where fewer vary in the frames.
    n_cepstra : int, range [2, inf)
        Mel-cepstral coefficients, c0 included.

    Returns
    -------
    Representation

    Raises
    ------
    ValueError
        If there are no clips, or they were not read with `settings`.

    Warns
    -----
    UserWarning
        If the mouth's box is one in pictures of several sizes.
    """
    check_features(features, settings)
    images = np.concatenate([f.lips for f in features])
    groups = np.repeat(np.arange(len(features)), [len(f.lips) for f in features])
    n_lips = min(n_lips, len(images), images[0].size)
    n_cosines = min(max(n_lips, _N_COSINES), images[0].size)
    lips = _lip_maps(images, n_cosines, n_lips)
    n_moving = int(np.sum(lips[1].explained_variance_ > _STILL))
    if n_moving < n_lips:
        lips = _lip_maps(images, n_cosines, max(1, n_moving), scaled=n_moving > 0)
    cepstrum = MelCepstrumTransformer(
        settings.sample_rate, n_coefficients=n_cepstra, input="spectrum"
    )
    cepstra = cepstrum.fit_transform(np.concatenate([f.envelope for f in features]))
    excitation = np.concatenate([f.excitation for f in features])
    centerer = None
    if remove_clip_mean and n_moving:
        centerer = ClipCenterer().fit(lips.transform(images), groups=groups)
    return Representation(
        lips=lips,
        centerer=centerer,
        cepstrum=cepstrum,
        cepstrum_scaler=StandardScaler().fit(cepstra),
        excitation_scaler=StandardScaler().fit(excitation),
        mean_image=_float32(images.mean(axis=0, dtype=np.float64)),
        settings=_with_picture_size(settings, features),
        context=context,
        with_excitation=with_excitation,
    )


def _lip_maps(
    images: NDArray[np.uint8], n_cosines: int, n_lips: int, *, scaled: bool = True
) -> Pipeline:
    return make_pipeline(
        LipDCTTransformer(images.shape[1:], n_cosines),
        PCA(n_lips, random_state=0),
        StandardScaler(with_std=scaled),
    ).fit(images)


def _with_picture_size(
    settings: FeatureSettings, features: Sequence[ClipFeatures]
) -> FeatureSettings:
    """The settings with the size of the pictures that their box is meant for."""
    known = Counter(f.picture_size for f in features if f.picture_size is not None)
    if settings.box is None or settings.picture_size is not None or not known:
        return settings
    (size, count), *_ = known.most_common(1)
    if len(known) > 1:
        warnings.warn(
            f"{known.total() - count} of {known.total()} training clips have pictures "
            f"of another size than {size[0]}x{size[1]}: the mouth is cut out at the "
            "same pixels of all; fit on clips of one size, or have it found (--box "
            "face)",
            UserWarning,
            stacklevel=3,
        )
    return replace(settings, picture_size=size)


def _float32(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float32)

"""From a clip to lip images and speech features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drm_transformers.clips import Clip, ClipError
from drm_transformers.mouth import crop_mouth, locate_mouth
from drm_transformers.vocoder import analyze, frame_features

__all__ = [
    "ClipFeatures",
    "FeatureSettings",
    "clip_features",
    "lip_images",
    "speech_features",
]


@dataclass(frozen=True)
class FeatureSettings:
    """How a clip is read; everything that its features depend on.

    Attributes
    ----------
    box : (x, y, size) or None
        The mouth in every picture, in pixels; None: found from the face.
    size : int, range [1, inf)
        Height and width of a lip image in pixels.
    frame_rate : float, range (0, inf)
        Lip images per second; clips of another rate are resampled.
    sample_rate : int, range [1, inf)
        Rate in Hz that sound is resampled to before it is analysed.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import FeatureSettings
    >>> FeatureSettings(box=(0, 0, 110)).frame_rate
    25.0
    """

    box: tuple[float, float, float] | None = None
    size: int = 55
    frame_rate: float = 25.0
    sample_rate: int = 12_000


@dataclass(frozen=True)
class ClipFeatures:
    """One clip as the model sees it, one row per video frame.

    Attributes
    ----------
    name : str
        The clip's name, for messages and reports.
    lips : ndarray of shape (n_frames, size, size), dtype uint8
        Grey lip images.
    envelope : ndarray of shape (n_frames, n_bins), dtype float32
        Power spectral envelope, geometric mean over the frame.
    excitation : ndarray of shape (n_frames, 2 + n_bands), dtype float32
        Log f0 (interpolated through unvoiced parts), share of voiced time, and
        coded aperiodicity in dB.
    notes : tuple of str
        What had to be mended when the clip was read.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import FeatureSettings, clip_features
    >>> from sklearn_drm.lipspeech import make_lip_speech
    >>> (clip,) = make_lip_speech(1, 0.4, random_state=0)
    >>> features = clip_features(clip, FeatureSettings(box=(0, 0, 110)))
    >>> features.lips.shape, len(features.envelope)
    ((10, 55, 55), 10)
    """

    name: str
    lips: NDArray[np.uint8]
    envelope: NDArray[np.float32]
    excitation: NDArray[np.float32]
    notes: tuple[str, ...] = ()


def lip_images(clip: Clip, settings: FeatureSettings) -> NDArray[np.uint8]:
    """Cut the mouth out of every picture of a clip.

    Parameters
    ----------
    clip : Clip
        Its frame rate must be that of `settings`.
    settings : FeatureSettings
        Where the mouth is, and the size of the result.

    Returns
    -------
    ndarray of shape (n_frames, size, size), dtype uint8

    Raises
    ------
    ClipError
        If no face is found, or the box does not lie in the picture.
    """
    height, width = clip.frames.shape[1:3]
    if settings.box is not None:
        x, y, side = settings.box
        if x < 0 or y < 0 or side <= 0 or x + side > width or y + side > height:
            raise ClipError(
                f"the mouth's box {x:g},{y:g},{side:g} (x,y,size) does not lie in the "
                f"{width}x{height} pictures; give another with --box x,y,size"
            )
    boxes = locate_mouth(clip.frames, box=settings.box)
    return np.asarray(crop_mouth(clip.frames, boxes, settings.size))


def speech_features(
    waveform: NDArray[np.float64],
    sample_rate: int,
    n_frames: int,
    settings: FeatureSettings,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Spectral envelope and excitation of each video frame of a sound.

    Parameters
    ----------
    waveform : ndarray of shape (n_samples,), range [-1, 1]
    sample_rate : int
        Its rate in Hz.
    n_frames : int
        Number of video frames that the sound belongs to.
    settings : FeatureSettings
        Frame rate, and sampling rate of the analysis.

    Returns
    -------
    envelope : ndarray of shape (n_frames, n_bins), dtype float32
        Power, geometric mean over the frame.
    excitation : ndarray of shape (n_frames, 2 + n_bands), dtype float32
    """
    world = analyze(
        np.ascontiguousarray(waveform, dtype=np.float64),
        sample_rate,
        target_rate=settings.sample_rate,
    )
    speech = frame_features(world, n_frames, settings.frame_rate)
    return (
        np.asarray(speech.envelope, dtype=np.float32),
        np.asarray(speech.excitation, dtype=np.float32),
    )


def clip_features(clip: Clip, settings: FeatureSettings) -> ClipFeatures:
    """Features of a clip that is already in memory.

    Parameters
    ----------
    clip : Clip
        Pictures and sound.
    settings : FeatureSettings

    Returns
    -------
    ClipFeatures

    Raises
    ------
    ClipError
        If the clip has no sound, another frame rate, or no mouth is found.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import (
    ...     FeatureSettings, clip_features, make_lip_speech)
    >>> clip = make_lip_speech(n_clips=1, seconds=0.4, random_state=0)[0]
    >>> features = clip_features(clip, FeatureSettings(box=(0, 0, 110)))
    >>> features.lips.shape, features.envelope.shape
    ((10, 55, 55), (10, 257))
    """
    if clip.waveform is None or clip.sample_rate is None:
        raise ClipError(f"{clip.name}: no sound track; this needs pictures and sound")
    if abs(clip.frame_rate - settings.frame_rate) > 1e-3:
        raise ClipError(
            f"{clip.name}: {clip.frame_rate:g} frames per second where "
            f"{settings.frame_rate:g} are needed; read it with frame_rate="
            f"{settings.frame_rate:g}"
        )
    lips = lip_images(clip, settings)
    envelope, excitation = speech_features(
        clip.waveform, clip.sample_rate, len(lips), settings
    )
    return ClipFeatures(clip.name, lips, envelope, excitation, tuple(clip.notes))

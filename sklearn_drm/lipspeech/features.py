"""From a clip to lip images and speech features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drm_transformers.clips import Clip, ClipError
from drm_transformers.mouth import crop_mouth, locate_mouth
from drm_transformers.parameters import (
    check_positive,
    is_positive_integer,
    whole_rate,
)
from drm_transformers.vocoder import (
    LOWEST_RATE,
    analyze,
    frame_features,
    n_envelope_bins,
)

__all__ = [
    "ClipFeatures",
    "FeatureSettings",
    "check_features",
    "clip_features",
    "lip_images",
    "lips_and_notes",
    "picture_size",
    "speech_features",
]

# Scaling leaves the sides of pictures rounded to whole and even numbers.
_SAME_SHAPE = 0.01

# Of the size of a lip image; GRID mouths have 1.1 of it.
_SMALL_MOUTH = 0.6


@dataclass(frozen=True)
class FeatureSettings:
    """How a clip is read; everything that its features depend on.

    Attributes
    ----------
    box : (x, y, size) or None, default=None
        The mouth in every picture, in pixels as `read_clip` gives them; None: found
        from the face.
    size : int, range [1, inf), default=55
        Height and width of a lip image in pixels.
    frame_rate : float, range (0, inf), default=25.0
        Lip images per second; clips of another rate are resampled.
    sample_rate : int, range [12000, inf), default=12000
        Rate in Hz that sound is resampled to before it is analysed.
    picture_size : (width, height) or None, default=None
        Size of the pictures that `box` is meant for: in those of another size and the
        same shape it is scaled, those of another shape are refused. None: `box` is
        taken as it is in every picture. A fitted converter has the size of the
        training clips here.

    Raises
    ------
    ValueError
        If a value is out of range.

    Examples
    --------
    >>> from sklearn_drm.lipspeech import FeatureSettings
    >>> FeatureSettings(box=(0, 0, 110)).frame_rate
    25.0
    >>> FeatureSettings(box=(60, 80, 55), picture_size=(180, 144)).box_in(360, 288)
    (120.0, 160.0, 110.0)
    """

    box: tuple[float, float, float] | None = None
    size: int = 55
    frame_rate: float = 25.0
    sample_rate: int = 12_000
    picture_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_positive("frame_rate", self.frame_rate, "frames per second")
        if whole_rate("sample_rate", self.sample_rate) < LOWEST_RATE:
            raise ValueError(
                f"sample_rate must be {LOWEST_RATE} Hz or more, where WORLD has a band "
                f"for aperiodicity, got {self.sample_rate!r}."
            )
        if not is_positive_integer(self.size):
            raise ValueError(f"size must be a positive integer, got {self.size!r}.")
        if self.box is not None:
            box = np.asarray(self.box, dtype=object)
            if box.shape != (3,):
                raise ValueError(f"box must be (x, y, size) or None, got {self.box!r}.")
            check_positive("the size of box", box[2], "pixels")
        if self.picture_size is not None and not (
            len(self.picture_size) == 2
            and all(is_positive_integer(side) for side in self.picture_size)
        ):
            raise ValueError(
                "picture_size must be two positive integers (width, height) or None, "
                f"got {self.picture_size!r}."
            )

    def box_in(self, width: int, height: int) -> tuple[float, float, float] | None:
        """The mouth's box in pictures of a size.

        Parameters
        ----------
        width, height : int
            In pixels.

        Returns
        -------
        (x, y, size) or None
            None: to be found from the face.

        Raises
        ------
        ClipError
            If the box is meant for pictures of another shape, or does not lie in
            these.
        """
        if self.box is None:
            return None
        x, y, side = box = self.box
        if self._is_scaled(width, height):
            known_width, known_height = self.picture_size or (width, height)
            across, down = width / known_width, height / known_height
            if abs(across / down - 1) > _SAME_SHAPE:
                raise ClipError(
                    f"its pictures are {width}x{height}, and the mouth's box is for "
                    f"{known_width}x{known_height}, another shape; say where the mouth "
                    "is in this video with --box x,y,size, or --box face to find it"
                )
            x, y, side = x * across, y * down, side * min(across, down)
            box = (x, y, side)
        # What a scaling rounds is no pixel.
        right, bottom = x + side - 1e-6, y + side - 1e-6
        if x < 0 or y < 0 or side <= 0 or right > width or bottom > height:
            raise ClipError(
                f"the mouth's box {x:g},{y:g},{side:g} (x,y,size) does not lie in the "
                f"{width}x{height} pictures; give another with --box x,y,size"
            )
        return box

    def box_notes(self, width: int, height: int) -> tuple[str, ...]:
        """What is to be said of the box in pictures of a size: that it is scaled.

        Parameters
        ----------
        width, height : int
            In pixels.

        Returns
        -------
        tuple of str
        """
        if not self._is_scaled(width, height):
            return ()
        known_width, known_height = self.picture_size or (width, height)
        return (
            f"the mouth's box is scaled from {known_width}x{known_height} to "
            f"{width}x{height} pictures",
        )

    def _is_scaled(self, width: int, height: int) -> bool:
        known = self.picture_size
        return self.box is not None and known is not None and known != (width, height)


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
    notes : tuple of str, default=()
        What had to be mended when the clip was read.
    picture_size : (width, height) or None, default=None
        Size of the pictures that the lips were cut from, where it is known.

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
    picture_size: tuple[int, int] | None = None


def check_features(features: Sequence[ClipFeatures], settings: FeatureSettings) -> None:
    """Refuse features that were not read with some settings.

    Parameters
    ----------
    features : sequence of ClipFeatures
    settings : FeatureSettings
        Of the model.

    Raises
    ------
    ValueError
        If there are none, or lip images or envelopes of a clip have another size than
        the settings say.
    """
    if not len(features):
        raise ValueError("no clips were given; give the features of one at least")
    size, n_bins = settings.size, n_envelope_bins(settings.sample_rate)
    for clip in features:
        if clip.lips.shape[1:] != (size, size):
            raise ValueError(
                f"{clip.name}: lip images of {clip.lips.shape[1:]} pixels, and the "
                f"settings say ({size}, {size}); give settings= what the clips were "
                "read with"
            )
        if clip.envelope.shape[1] != n_bins:
            raise ValueError(
                f"{clip.name}: envelopes of {clip.envelope.shape[1]} bins, and at the "
                f"settings' sample_rate={settings.sample_rate} there are {n_bins}; "
                "give settings= what the clips were read with"
            )


def picture_size(clip: Clip) -> tuple[int, int]:
    """Width and height of a clip's pictures in pixels.

    Parameters
    ----------
    clip : Clip

    Returns
    -------
    (int, int)
    """
    height, width = clip.frames.shape[1:3]
    return int(width), int(height)


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
        If no face is found, or the box does not lie in the picture or is meant for
        pictures of another shape.
    """
    return lips_and_notes(clip, settings)[0]


def lips_and_notes(
    clip: Clip, settings: FeatureSettings
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """`lip_images`, and what is to be said of the place that they were cut out at.

    Parameters
    ----------
    clip : Clip
    settings : FeatureSettings
        As for `lip_images`.

    Returns
    -------
    lips : ndarray of shape (n_frames, size, size), dtype uint8
    notes : tuple of str
        That the box is scaled, or the mouth is small; one line each.

    Raises
    ------
    ClipError
        As `lip_images` does.
    """
    size = picture_size(clip)
    boxes = locate_mouth(clip.frames, box=settings.box_in(*size))
    notes = settings.box_notes(*size)
    side = float(np.median(boxes[:, 2]))
    if side < _SMALL_MOUTH * settings.size:
        notes += (
            f"the mouth is only {side:.0f} pixels wide, enlarged to {settings.size}: "
            "too little is seen of it; use a larger picture of the face",
        )
    return np.asarray(crop_mouth(clip.frames, boxes, settings.size)), notes


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
    lips, notes = lips_and_notes(clip, settings)
    envelope, excitation = speech_features(
        clip.waveform, clip.sample_rate, len(lips), settings
    )
    notes = (*clip.notes, *notes)
    return ClipFeatures(
        clip.name, lips, envelope, excitation, notes, picture_size(clip)
    )

"""Clips as MP4 files and sound as WAV files, written whole or not at all."""

from __future__ import annotations

import os
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from drm_transformers._errors import ClipError
from drm_transformers.atomic_files import atomic_path
from drm_transformers.parameters import check_positive, whole_rate
from drm_transformers.resampling import resample

__all__ = ["write_clip", "write_wav"]

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

# AAC at these rates plays everywhere; others are brought to 48 kHz.
_AAC_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

# As H.264 numbers them: the matrix of BT.601 (SMPTE 170M), luma from 16 to 235.
_BT601, _LIMITED = 6, 1


def write_clip(
    path: str | os.PathLike[str],
    frames: npt.NDArray[np.uint8],
    frame_rate: float,
    waveform: npt.ArrayLike | None = None,
    sample_rate: int | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Write frames and sound as an MP4 that browsers and players open.

    H.264 (yuv420p) and AAC, index at the start. The file appears under its
    name only when it is complete.

    Parameters
    ----------
    path : str or path
        The file to write, normally ending in ``.mp4``.
    frames : ndarray of shape (n_frames, height, width[, 3]), uint8
        Grey, or red-green-blue.
    frame_rate : float, > 0
        Frames per second.
    waveform : array-like of shape (n_samples,) or None, default=None
        Mono sound; values outside [-1, 1] are clipped. It is written whole,
        whatever the length of the frames.
    sample_rate : int or None, default=None
        Hz; needed with `waveform`. Rates that some players refuse (12 kHz) are
        written as 48 kHz.
    size : (width, height) or None, default=None
        Scale the pictures (cubic); both even. None: as they are, with the last
        row or column repeated where a side is odd, since the format needs even
        sides.

    Raises
    ------
    ValueError
        Frames, rates or waveform that cannot be written.
    ClipError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "lips.mp4"
    >>> write_clip(path, np.zeros((5, 55, 55), np.uint8), 25, size=(220, 220))
    >>> from drm_transformers.clips import read_clip
    >>> read_clip(path).frames.shape
    (5, 220, 220)
    """
    frames = _checked_frames(frames)
    check_positive("frame_rate", frame_rate, "frames per second")
    if size is not None and (min(size) < 2 or size[0] % 2 or size[1] % 2):
        raise ValueError(f"size={size!r}: H.264 needs an even width and height")
    sound: FloatArray | None = None
    if waveform is not None:
        if sample_rate is None:
            raise ValueError("sample_rate is needed with a waveform")
        sample_rate = whole_rate("sample_rate", sample_rate)
        sound = np.clip(_checked_waveform(waveform), -1.0, 1.0)
        if sample_rate not in _AAC_RATES:
            sound = np.clip(resample(sound, sample_rate, 48_000), -1.0, 1.0)
            sample_rate = 48_000
    with atomic_path(path) as temporary:
        try:
            _encode(temporary, frames, frame_rate, sound, sample_rate, size)
        except FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise ClipError(
                f"cannot write {path}: {error}".replace("\n", " ")
            ) from error


def write_wav(
    path: str | os.PathLike[str], waveform: npt.ArrayLike, sample_rate: int
) -> None:
    """Write a mono 16-bit PCM WAV file, whole or not at all.

    Parameters
    ----------
    path : str or path
        The file to write.
    waveform : array-like of shape (n_samples,)
        Values outside [-1, 1] are clipped.
    sample_rate : int, > 0
        Hz.

    Raises
    ------
    ValueError
        The waveform is not one-dimensional or not finite, or the rate no whole
        number of Hz above 0.
    ClipError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tone.wav"
    >>> write_wav(path, np.sin(np.arange(1200) / 4), 12_000)
    >>> path.stat().st_size
    2444
    """
    sample_rate = whole_rate("sample_rate", sample_rate)
    samples = np.round(_checked_waveform(waveform) * 32768)
    pcm = np.clip(samples, -32768, 32767).astype("<i2")
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())


def _checked_frames(frames: npt.NDArray[np.uint8]) -> ByteArray:
    frames = np.asarray(frames)
    if frames.dtype != np.uint8:
        raise ValueError(
            f"frames are {frames.dtype}; give uint8 grey levels from 0 to 255"
        )
    if frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] != 3):
        raise ValueError(
            f"frames have shape {frames.shape}; give (n_frames, height, width) or "
            "(n_frames, height, width, 3)"
        )
    if frames.size == 0:
        raise ValueError(f"frames have shape {frames.shape}: nothing to write")
    return frames


def _checked_waveform(waveform: npt.ArrayLike) -> FloatArray:
    sound = np.asarray(waveform, dtype=np.float64)
    if sound.ndim != 1:
        raise ValueError(f"waveform has shape {sound.shape}; give (n_samples,)")
    if not np.isfinite(sound).all():
        raise ValueError("waveform has NaN or infinite samples")
    return sound


def _video_stream(container: Any, rate: Fraction, width: int, height: int) -> Any:
    for codec in ("libx264", "libopenh264", "h264"):
        try:
            stream = container.add_stream(codec, rate=rate)
            break
        except (FFmpegError, ValueError):
            continue
    else:
        raise ClipError(
            "this FFmpeg has no H.264 encoder; install PyAV from its own wheels"
        )
    stream.width, stream.height = width, height
    stream.pix_fmt = "yuv420p"
    if codec == "libx264":
        stream.options = {"crf": "16", "preset": "medium"}
    stream.codec_context.thread_count = 1
    # Red, green and blue become luma and chroma by the matrix of BT.601; where a file
    # does not say so, players take that of BT.709 for large pictures.
    stream.codec_context.colorspace = _BT601
    stream.codec_context.color_range = _LIMITED
    return stream


def _encode(
    path: Path,
    frames: ByteArray,
    frame_rate: float,
    sound: FloatArray | None,
    sample_rate: int | None,
    size: tuple[int, int] | None,
) -> None:
    rate = Fraction(frame_rate).limit_denominator(1001)
    scaled = size is not None
    if size is None:
        height, width = frames.shape[1:3]
        size = (width + width % 2, height + height % 2)
    options = {"movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        video = _video_stream(container, rate, *size)
        audio = None
        if sound is not None and len(sound):
            audio = container.add_stream("aac", rate=sample_rate)
            audio.layout = "mono"
            audio.bit_rate = 128_000
        written = 0
        for i, frame in enumerate(frames):
            image = _picture(frame, size, scaled)
            image.pts, image.time_base = i, 1 / rate
            container.mux(video.encode(image))
            if audio is not None and sound is not None and sample_rate is not None:
                # Sound keeps pace with the pictures, so that a player finds
                # both close together in the file.
                until = int((i + 1) / rate * sample_rate)
                if i == len(frames) - 1:
                    until = len(sound) + 1024
                while written < len(sound) and written + 1024 <= until:
                    block = sound[written : written + 1024]
                    container.mux(
                        audio.encode(_audio_frame(block, written, sample_rate))
                    )
                    written += len(block)
        for stream in (video, audio):
            if stream is not None:
                container.mux(stream.encode(None))


def _picture(frame: ByteArray, size: tuple[int, int], scaled: bool) -> Any:
    """One frame at its final size, as the encoder takes it."""
    if scaled:
        frame = cast(ByteArray, cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC))
    else:
        pad = [(0, size[1] - frame.shape[0]), (0, size[0] - frame.shape[1])]
        frame = np.pad(frame, pad + [(0, 0)] * (frame.ndim - 2), mode="edge")
    layout = "gray" if frame.ndim == 2 else "rgb24"
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=layout)
    return image.reformat(format="yuv420p")


def _audio_frame(block: FloatArray, position: int, sample_rate: int) -> Any:
    samples = np.ascontiguousarray(block[None, :], dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate = sample_rate
    frame.pts, frame.time_base = position, Fraction(1, sample_rate)
    return frame

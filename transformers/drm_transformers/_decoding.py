"""Decoding of one file's pictures and sound, each with its presentation times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from drm_transformers._errors import ClipError
from drm_transformers.local_files import open_local
from drm_transformers.upright import Upright, upright

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

_MAX_FRAME_BYTES = 4 * 2**30
# Whole numbers of 32 bits written as floats are smaller than this.
_MAX_SAMPLE = 1e10
_TEXT_BYTES = bytes([*range(9, 14), 27, *range(32, 127), *range(160, 256)])
# A decoder that lacks its reference picture starts from a flat mid-grey one.
_FLAT_DEVIATION = 4.0

# Distance from middle grey within which a flat picture stands for a missing one: a
# film may begin in black or white.
_GREY_RANGE = 8.0


@dataclass(frozen=True)
class Decoded:
    """What a file holds, before pictures and sound are put on one clock."""

    frames: ByteArray
    frame_times: FloatArray
    frame_rate: float
    waveform: FloatArray | None
    sound_start: float
    sample_rate: int | None
    notes: tuple[str, ...]
    # Time of the first picture in the file, kept or not.
    beginning: float = 0.0


def decode(
    path: str | os.PathLike[str], *, pictures: bool, sound: bool, max_seconds: float
) -> Decoded:
    """Decode a file's first video and sound streams.

    Raises
    ------
    ClipError
        As in `read_clip`.
    """
    _check_file(path)
    try:
        container = open_local(path)
    except (FFmpegError, ValueError, UnicodeError) as error:
        raise ClipError(
            f"{path}: not a readable clip ({_short(error)}); give a video or sound "
            "file that FFmpeg reads"
        ) from error
    with container:
        return _Reader(path, container, max_seconds).read(pictures, sound)


def _check_file(path: str | os.PathLike[str]) -> None:
    file = Path(path)
    try:
        if file.is_dir():
            raise ClipError(f"{path}: is a folder; give a file")
        if not file.exists():
            raise ClipError(f"{path}: no such file")
        if not file.is_file():
            raise ClipError(f"{path}: not a regular file")
        if file.stat().st_size == 0:
            raise ClipError(f"{path}: the file is empty (0 bytes)")
        with open(file, "rb") as opened:
            start = opened.read(1024)
    except OSError as error:
        raise ClipError(f"{path}: cannot be read ({error.strerror})") from error
    # FFmpeg would show a text as ANSI art, and follow a playlist to the network.
    is_text = not start.translate(None, _TEXT_BYTES)
    if is_text and not start.startswith(b"YUV4MPEG2"):
        raise ClipError(f"{path}: is a text file; give a video or sound file")


def _short(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


class _Reader:
    """Collects the frames and samples of one open container."""

    def __init__(
        self, path: str | os.PathLike[str], container: Any, max_seconds: float
    ) -> None:
        self.path = path
        self.container = container
        self.max_seconds = max_seconds
        self.bad_packets = 0
        # Pictures that an edit list hides, and whether the first is a key frame, on
        # which those that are shown rest.
        self.hidden, self.rests_on_hidden = 0, False
        self.n_video = 0
        self.beginning = np.inf
        self.upright: Upright | None = None
        self.images: list[ByteArray] = []
        self.times: list[float | None] = []
        self.keys: list[bool] = []
        self.corrupt: list[bool] = []
        self.blocks: list[tuple[float | None, FloatArray]] = []
        self.sample_rate: int | None = None

    def read(self, pictures: bool, sound: bool) -> Decoded:
        video = self._video_stream() if pictures else None
        audio = self._audio_stream() if sound else None
        streams = [s for s in (video, audio) if s is not None]
        if pictures:
            self._check_declared_length(video)
        if streams:
            self._collect(streams, video)
        notes: list[str] = []
        if self.bad_packets:
            notes.append(f"{self.bad_packets} damaged packets skipped")
        if self.upright is not None:
            notes.extend(self.upright.notes)
        frames, times, rate = np.zeros((0, 0, 0), np.uint8), np.zeros(0), 0.0
        if video is not None:
            frames, times, rate = self._pictures(video, notes)
        waveform, start = self._sound()
        return Decoded(
            frames=frames,
            frame_times=times,
            frame_rate=rate,
            waveform=waveform,
            sound_start=start,
            sample_rate=self.sample_rate,
            notes=tuple(notes),
            beginning=self.beginning,
        )

    def _video_stream(self) -> Any:
        format_name = str(self.container.format.name)
        # FFmpeg takes a photograph for a video of one frame.
        still = format_name == "image2" or format_name.endswith("_pipe")
        streams = [s for s in self.container.streams.video if not _is_cover(s)]
        if still or not streams:
            kind = "a picture" if still else "a sound file without pictures"
            raise ClipError(f"{self.path}: not a video ({kind}); give a video file")
        # A damaged header can name a codec that does not exist.
        streams = [s for s in streams if s.codec_context is not None]
        if not streams:
            raise ClipError(
                f"{self.path}: its pictures are in no known format (a damaged file?); "
                "give a video that plays"
            )
        return streams[0]

    def _audio_stream(self) -> Any:
        streams = [s for s in self.container.streams.audio if s.codec_context]
        return streams[0] if streams else None

    def _check_declared_length(self, video: Any) -> None:
        seconds = (self.container.duration or 0) / 1e6
        if seconds > self.max_seconds:
            self._too_long(f"{seconds:.0f} s long")
        # Raw DV tells the ticks of its clock as its average rate.
        told = (video.average_rate, video.guessed_rate)
        rate = min((float(rate) for rate in told if rate), default=0.0)
        # Pixels that are not square can make the pictures wider than they are stored.
        width = upright(video).width(int(video.codec_context.width))
        size = width * int(video.codec_context.height)
        if min(seconds, self.max_seconds) * rate * size > _MAX_FRAME_BYTES:
            self._too_large()

    def _too_long(self, what: str) -> None:
        raise ClipError(
            f"{self.path}: {what}, more than max_seconds={self.max_seconds:g}; cut it "
            "into shorter clips"
        )

    def _too_large(self) -> None:
        raise ClipError(
            f"{self.path}: its frames need more than {_MAX_FRAME_BYTES >> 30} GiB; "
            "cut it into shorter clips or make the pictures smaller"
        )

    def _collect(self, streams: list[Any], video: Any) -> None:
        n_bytes = 0
        first: float | None = None
        for frame in self._frames(streams):
            time = None if frame.pts is None else float(frame.pts * frame.time_base)
            if time is not None:
                first = time if first is None else first
                if time - first > self.max_seconds:
                    self._too_long("still going on")
            if isinstance(frame, av.VideoFrame):
                if self.upright is None:
                    self.upright = upright(video, frame)
                image = self.upright(frame.to_ndarray(format="gray"))
                if self.images and image.shape != self.images[0].shape:
                    self.bad_packets += 1
                    continue
                n_bytes += image.nbytes
                if n_bytes > _MAX_FRAME_BYTES:
                    self._too_large()
                self.images.append(image)
                self.times.append(time)
                self.keys.append(bool(frame.key_frame))
                self.corrupt.append(bool(frame.is_corrupt))
            else:
                if self.sample_rate is None:
                    self.sample_rate = int(frame.sample_rate)
                if frame.sample_rate == self.sample_rate:
                    self.blocks.append((time, _mono(frame)))

    def _frames(self, streams: list[Any]) -> Iterator[Any]:
        packets = self.container.demux(*streams)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError:
                # The file breaks off; what came before it is kept.
                self.bad_packets += 1
                return
            if packet.stream.type == "video" and packet.size:
                if not self.n_video:
                    self.rests_on_hidden = packet.is_keyframe and packet.is_discard
                self.n_video += 1
                self.hidden += packet.is_discard
                if packet.pts is not None and not packet.is_discard:
                    time = float(packet.pts * packet.time_base)
                    self.beginning = min(self.beginning, time)
            try:
                yield from packet.decode()
            except FFmpegError:
                self.bad_packets += 1

    def _pictures(
        self, video: Any, notes: list[str]
    ) -> tuple[ByteArray, FloatArray, float]:
        if not self.images:
            raise ClipError(
                f"{self.path}: no picture could be decoded; the file is damaged or cut"
            )
        rate = _frame_rate(video, self.times)
        # The header counts the whole track.
        declared = int(video.frames or 0) - self.hidden
        if len(self.images) < 0.5 * declared:
            raise ClipError(
                f"{self.path}: only {len(self.images)} of {declared} frames could be "
                "decoded; the file is damaged or cut"
            )
        if len(self.images) < declared - 2:
            notes.append(f"cut: {declared - len(self.images)} frames missing")
        times = _monotonic_times(self.times, rate)
        order = np.argsort(times, kind="stable")
        self.beginning = min(self.beginning, times[order[0]])
        start = 0
        if not self.rests_on_hidden:
            start = _first_good(self.images, self.keys, self.corrupt)
        if start >= len(order):
            raise ClipError(f"{self.path}: every frame is damaged")
        if start:
            notes.append(f"damaged start: {start} frames dropped")
        order = order[start:]
        return np.stack([self.images[i] for i in order]), times[order], rate

    def _sound(self) -> tuple[FloatArray | None, float]:
        """The sound on one time axis; gaps in it are zeros."""
        if not self.blocks or self.sample_rate is None:
            return None, 0.0
        rate = self.sample_rate
        start = next((t for t, _ in self.blocks if t is not None), 0.0)
        pieces: list[FloatArray] = []
        position = 0
        for time, block in self.blocks:
            wanted = position if time is None else round((time - start) * rate)
            # Time stamps are rounded to the container's clock, so small steps
            # are no gaps.
            if wanted - position > 0.02 * rate:
                if wanted > self.max_seconds * rate:
                    self._too_long("its sound is")
                pieces.append(np.zeros(wanted - position))
                position = wanted
            pieces.append(block)
            position += len(block)
        waveform = np.concatenate(pieces)
        # Samples kept as floating-point numbers can be anything; NaN is never smaller.
        if len(waveform) and not np.abs(waveform).max() < _MAX_SAMPLE:
            raise ClipError(
                f"{self.path}: its sound has samples that are no number or far from "
                "[-1, 1]; the file is damaged, or was written wrongly"
            )
        return waveform, start


def _is_cover(stream: Any) -> bool:
    """Whether a video stream is the cover picture of a sound file."""
    return "attached_pic" in str(getattr(stream, "disposition", "")).lower()


def _frame_rate(video: Any, times: list[float | None]) -> float:
    declared = float(video.average_rate or video.guessed_rate or 0)
    known = np.sort(np.array([t for t in times if t is not None]))
    steps = np.diff(known)
    steps = steps[steps > 1e-6]
    measured = 1.0 / float(np.median(steps)) if len(steps) else 0.0
    # The header's rate may count fields, or be a guess; the time stamps decide
    # unless the two agree, and then the header has the exact fraction.
    if measured and (declared <= 0 or abs(declared / measured - 1) > 0.05):
        return measured
    return declared if declared > 0 else 25.0


def _monotonic_times(times: list[float | None], rate: float) -> FloatArray:
    """Frame times in seconds; one without a time stamp follows its neighbour."""
    out = np.empty(len(times))
    for i, time in enumerate(times):
        if time is None:
            time = out[i - 1] + 1 / rate if i else 0.0
        out[i] = time
    return out


def _first_good(images: list[ByteArray], keys: list[bool], corrupt: list[bool]) -> int:
    """Index of the first frame that does not rest on a missing key frame.

    Frames before the first key frame are built on nothing. Some files replace
    the missing key frame by a flat grey one, which decodes without an error:
    then the frames up to the first key frame with a picture in it are garbage.
    """
    good = [key and not bad for key, bad in zip(keys, corrupt, strict=True)]
    if not any(good):
        # Codecs that do not mark key frames.
        return 0
    start = good.index(True)
    grey = abs(float(images[start].mean()) - 128) < _GREY_RANGE
    if grey and _deviation(images[start]) < _FLAT_DEVIATION:
        later = [i for i in range(start, len(images)) if good[i]]
        typical = float(np.median([_deviation(images[i]) for i in later]))
        if typical >= 2 * _FLAT_DEVIATION:
            start = next(i for i in later if _deviation(images[i]) > 0.5 * typical)
    return start


def _deviation(image: ByteArray) -> float:
    return float(image[::2, ::2].std())


def _mono(frame: Any) -> FloatArray:
    """Mean of the channels, in [-1, 1]."""
    samples = frame.to_ndarray()
    n_channels = len(frame.layout.channels)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, n_channels).T
    mono = samples.astype(np.float64).mean(axis=0)
    if samples.dtype.kind == "u":
        return np.asarray(mono / 128.0 - 1.0)
    if samples.dtype.kind == "i":
        return np.asarray(mono / (float(np.iinfo(samples.dtype).max) + 1.0))
    return np.asarray(mono)

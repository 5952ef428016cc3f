"""Video files written by code, with everything about them known."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FLASH_FRAME = 20


def flash_and_beep(n_frames=50, rate=25, size=(64, 48)):
    """Dark frames with one bright frame, and where it starts in seconds."""
    width, height = size
    frames = np.full((n_frames, height, width), 60, np.uint8)
    frames[:, :, ::2] = 80
    frames[FLASH_FRAME] = 230
    return frames, FLASH_FRAME / rate


def beep(n_samples, sample_rate, start, seconds=0.04):
    """1 kHz for `seconds` from `start`, silence elsewhere."""
    time = np.arange(n_samples) / sample_rate
    tone = 0.5 * np.sin(2 * np.pi * 1000 * (time - start))
    return np.where((time >= start) & (time < start + seconds), tone, 0.0)


def beep_start(waveform, sample_rate):
    """Where the beep starts, by the middle of its energy, in seconds."""
    power = waveform**2
    centre = (np.arange(len(power)) * power).sum() / power.sum() / sample_rate
    return centre - 0.02


def mux(
    path: Path,
    frames,
    rate,
    sound=None,
    *,
    sample_rate=44_100,
    sound_time=0.0,
    frame_times=None,
    start=0,
    video_codec="mpeg1video",
    audio_codec="mp2",
    format=None,
    gop=12,
    drop_first_picture=False,
    layout="mono",
    pixels=None,
):
    """Write a file through FFmpeg, with sound and pictures at given times.

    `start` is in frames, `sound_time` and `frame_times` in seconds, `pixels` the width
    and height of one.
    """
    with av.open(str(path), "w", format=format) as container:
        video = container.add_stream(video_codec, rate=Fraction(rate))
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        if pixels is not None:
            video.codec_context.sample_aspect_ratio = Fraction(*pixels)
        video.codec_context.gop_size = gop
        video.bit_rate = 4_000_000
        audio = None
        if sound is not None:
            audio = container.add_stream(audio_codec, rate=sample_rate)
            audio.layout = layout
        packets = []
        base = Fraction(1, 90_000)
        for i, frame in enumerate(frames):
            grey_or_colour = "gray" if frame.ndim == 2 else "rgb24"
            image = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame), format=grey_or_colour
            ).reformat(format="yuv420p")
            if frame_times is None:
                image.pts, image.time_base = start + i, 1 / Fraction(rate)
            else:
                image.pts, image.time_base = round(frame_times[i] / base), base
                video.codec_context.time_base = base
            packets += video.encode(image)
        packets += video.encode(None)
        if drop_first_picture:
            packets = packets[1:]
        if audio is not None:
            for at in range(0, len(sound), 1152):
                samples = np.atleast_2d(sound[at : at + 1152].T)
                samples = np.ascontiguousarray(samples, dtype=np.float32)
                piece = av.AudioFrame.from_ndarray(
                    samples, format="fltp", layout=layout
                )
                piece.sample_rate = sample_rate
                piece.pts = at + round(sound_time * sample_rate)
                piece.time_base = Fraction(1, sample_rate)
                if audio.format.name != "fltp":
                    converter = av.AudioResampler(format=audio.format.name)
                    piece = converter.resample(piece)[0]
                packets += audio.encode(piece)
            packets += audio.encode(None)
        packets.sort(key=lambda p: float((p.dts or 0) * p.time_base))
        for packet in packets:
            container.mux(packet)


def resized(frames, size):
    """Frames at another width and height."""
    return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])


def set_display_matrix(path: Path, parts):
    """Write (a, b, c, d) of x' = a x + c y, y' = b x + d y in an MP4's first track."""

    def matrix(a, b, c, d):
        values = [a, b, 0, c, d, 0, 0, 0]
        return struct.pack(">9i", *(round(65536 * v) for v in values), 1 << 30)

    data = path.read_bytes()
    at = data.index(matrix(1, 0, 0, 1), data.index(b"tkhd"))
    path.write_bytes(data[:at] + matrix(*parts) + data[at + 36 :])

"""Pictures for reports, as PNG in memory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.signal import stft

__all__ = ["figure_png", "lip_strip", "spectrogram_pair"]


def lip_strip(
    rows: Sequence[tuple[str, NDArray[Any]]],
    frame_rate: float,
    *,
    n_instants: int = 10,
    loudness: NDArray[Any] | None = None,
    titles: Sequence[str] | None = None,
) -> bytes:
    """Lip images of several sources below each other at the same instants.

    Parameters
    ----------
    rows : sequence of (str, ndarray of shape (n_frames, size, size))
        Label and images, range [0, 255].
    frame_rate : float
        Frames per second.
    n_instants : int, range [1, inf), default=10
        Number of instants, evenly spread.
    loudness : ndarray of shape (n_frames,), optional
        Sound power of each frame; instants are then moved to the loudest and the
        softest frame in turn, since even steps may miss every open mouth.
    titles : sequence of str, optional
        Words over the columns; None: the time.

    Returns
    -------
    bytes
        PNG.
    """
    n_frames = min(len(images) for _, images in rows)
    count = min(n_instants, n_frames)
    edges = np.linspace(0, n_frames, count + 1).astype(int)
    at = (edges[:-1] + edges[1:] - 1) // 2
    if loudness is not None:
        for k, (first, last) in enumerate(pairwise(edges)):
            part = loudness[first:last]
            at[k] = first + int(np.argmin(part) if k % 2 else np.argmax(part))
    if titles is None:
        titles = [f"{frame / frame_rate:.2f} s" for frame in at]
    height = 11.0 / (count + 1.2) * len(rows) * 1.02 + 0.3
    figure = Figure(figsize=(11.0, height))
    axes = figure.subplots(len(rows), count, squeeze=False)
    for line, (label, images) in zip(axes, rows, strict=True):
        for axis, frame in zip(line, at, strict=True):
            axis.imshow(images[frame], cmap="gray", vmin=0, vmax=255)
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(False)
        line[0].set_ylabel(
            label, rotation=0, ha="right", va="center", labelpad=8, parse_math=False
        )
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    figure.subplots_adjust(
        left=1.2 / (count + 1.2), right=0.998, top=1 - 0.28 / height, bottom=0.01,
        wspace=0.05, hspace=0.05,
    )  # fmt: skip
    return figure_png(figure)


def spectrogram_pair(
    sounds: Sequence[tuple[str, NDArray[Any], int]],
    *,
    highest: float = 6000.0,
    range_db: float = 70.0,
    words: Sequence[tuple[str, float, float]] = (),
) -> bytes:
    """Spectrograms below each other, on one colour scale and one time axis.

    Parameters
    ----------
    sounds : sequence of (str, ndarray of shape (n_samples,), int)
        Label, waveform and sampling rate in Hz.
    highest : float, default=6000.0
        Highest frequency shown in Hz.
    range_db : float, default=70.0
        Decibels from the loudest point of all to the darkest colour.
    words : sequence of (str, float, float), default=()
        Words, each with its start and end in seconds, to mark in every spectrogram.

    Returns
    -------
    bytes
        PNG.
    """
    levels = []
    for _, waveform, rate in sounds:
        length = max(32, round(0.025 * rate))
        frequency, time, values = stft(
            np.asarray(waveform, dtype=np.float64),
            fs=rate,
            window="hann",
            nperseg=min(length, max(1, len(waveform))),
            noverlap=None if len(waveform) < length else length - round(0.005 * rate),
            nfft=max(1024, length),
            scaling="spectrum",
        )
        keep = frequency <= highest
        level = 20 * np.log10(np.abs(values[keep]) + 1e-7)
        levels.append((frequency[keep], time, level))
    top = max(float(level.max()) for _, _, level in levels)
    seconds = max(len(waveform) / rate for _, waveform, rate in sounds)
    figure = Figure(figsize=(11.0, 2.25 * len(sounds) + 0.5), layout="constrained")
    axes = figure.subplots(len(sounds), 1, sharex=True, squeeze=False)[:, 0]
    meshes: list[Any] = []
    for axis, (label, _, _), (frequency, time, level) in zip(
        axes, sounds, levels, strict=True
    ):
        mesh = axis.pcolormesh(
            time, frequency / 1000, level, vmin=top - range_db, vmax=top,
            cmap="magma", shading="nearest", rasterized=True,
        )  # fmt: skip
        meshes.append(mesh)
        axis.set_ylabel("kHz")
        axis.set_ylim(0, highest / 1000)
        axis.set_title(label, loc="left", fontsize=10, parse_math=False)
        for text, start, end in words:
            for edge in (start, end):
                axis.axvline(edge, color="white", linewidth=0.6, alpha=0.7)
            axis.text(
                (start + end) / 2, 0.97 * highest / 1000, text, parse_math=False,
                color="white", fontsize=8, ha="center", va="top", clip_on=True,
                # Hisses are bright where the words stand.
                path_effects=[withStroke(linewidth=2, foreground="black")],
            )  # fmt: skip
    axes[-1].set_xlim(0, seconds)
    axes[-1].set_xlabel("time (s)")
    figure.colorbar(meshes[0], ax=list(axes), label="level (dB)", pad=0.01, aspect=30)
    return figure_png(figure)


def figure_png(figure: Figure) -> bytes:
    """Draw a figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    bytes
        PNG.
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()

"""Decoded pictures as they are meant to be seen: square pixels, the right way up."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Upright", "upright"]

ByteArray = npt.NDArray[np.uint8]

# Encoders round an even width by pixels this close to square.
_SQUARE = 0.005
# No camera or disc has longer pixels; a damaged header may.
_LONGEST = 4
# (a, b, c, d) of the display matrix: x' = a x + c y, y' = b x + d y, y downwards.
_Turn = tuple[int, int, int, int]
_UPRIGHT: _Turn = (1, 0, 0, 1)
_TURNS = {
    (0, 1, -1, 0): "turned 90 degrees clockwise",
    (-1, 0, 0, -1): "turned 180 degrees",
    (0, -1, 1, 0): "turned 90 degrees anticlockwise",
    (-1, 0, 0, 1): "mirrored left to right",
    (1, 0, 0, -1): "mirrored top to bottom",
    (0, 1, 1, 0): "turned 90 degrees and mirrored",
    (0, -1, -1, 0): "turned 90 degrees and mirrored",
}


@dataclass(frozen=True)
class Upright:
    """How the pictures of one stream are brought to how they are seen.

    Attributes
    ----------
    pixels : fractions.Fraction
        Width of a stored pixel in parts of its height.
    turn : tuple of four int
        The display matrix in units of one, of whole quarter turns and mirrors.
    notes : tuple of str
        What is done, and what the file asks for but is not done.
    """

    pixels: Fraction = Fraction(1)
    turn: _Turn = _UPRIGHT
    notes: tuple[str, ...] = ()

    def width(self, stored: int) -> int:
        """Width in square pixels of a row of so many stored ones, even if changed."""
        if self.pixels == 1:
            return stored
        return max(2, 2 * round(stored * self.pixels / 2))

    def __call__(self, picture: ByteArray) -> ByteArray:
        """One picture, grey or in colour, as it is seen."""
        height, width = picture.shape[:2]
        wide = self.width(width)
        if wide != width:
            # Means over pixels where they get fewer, so that fine lines do not beat.
            way = cv2.INTER_AREA if wide < width else cv2.INTER_CUBIC
            scaled = cv2.resize(picture, (wide, height), interpolation=way)
            picture = np.asarray(scaled, dtype=np.uint8)
        if self.turn == _UPRIGHT:
            return picture
        a, b, c, d = self.turn
        if not a:
            picture = picture.swapaxes(0, 1)
        if a + c < 0:
            picture = picture[:, ::-1]
        if b + d < 0:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


def upright(stream: Any, frame: Any = None) -> Upright:
    """What a video stream says of its pixels and of which way is up.

    Parameters
    ----------
    stream : av.video.stream.VideoStream
    frame : av.VideoFrame, optional
        Its first decoded picture, which carries the display matrix; None: the
        pixels' shape alone.

    Returns
    -------
    Upright
    """
    stored = stream.codec_context if frame is None else frame
    pixels, notes = _pixels(stream, int(stored.width), int(stored.height))
    if frame is None:
        return Upright(pixels, notes=notes)
    turn, told = _turn(_display_matrix(frame))
    return Upright(pixels, turn, notes + told)


def _pixels(stream: Any, width: int, height: int) -> tuple[Fraction, tuple[str, ...]]:
    pixels = Fraction(stream.sample_aspect_ratio or 1)
    if pixels <= 0 or abs(pixels - 1) <= _SQUARE:
        return Fraction(1), ()
    said = f"pixels {pixels.numerator}:{pixels.denominator}"
    if not Fraction(1, _LONGEST) <= pixels <= _LONGEST:
        return Fraction(1), (f"{said} in the header cannot be: taken as square",)
    wide = Upright(pixels).width(width)
    if wide == width:
        return Fraction(1), ()
    change = "widened" if wide > width else "narrowed"
    return pixels, (f"{said}, pictures {change} to {wide}x{height}",)


def _display_matrix(frame: Any) -> bytes:
    # The library's own `rotation` is newer than this, and tells no mirrors.
    # By name: what iteration gives has changed between versions.
    return bytes(frame.side_data.get("DISPLAYMATRIX") or b"")


def _turn(matrix: bytes) -> tuple[_Turn, tuple[str, ...]]:
    """The turn in a display matrix of nine 32-bit integers."""
    if len(matrix) != 36:
        return _UPRIGHT, ()
    parts = np.frombuffer(matrix, dtype=np.int32)[[0, 1, 3, 4]].astype(float)
    # Cosines of right angles are seldom written as exact zeros.
    parts[np.abs(parts) < 0.02 * np.abs(parts).max()] = 0
    a, b, c, d = (int(part) for part in np.sign(parts))
    turn = (a, b, c, d)
    if turn == _UPRIGHT or not any(turn):
        return _UPRIGHT, ()
    if turn in _TURNS:
        return turn, (f"pictures {_TURNS[turn]}, as the file asks",)
    return _UPRIGHT, ("the file asks for no quarter turn of the pictures: not turned",)

"""A mouth drawn from articulator positions, for the synthetic clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Look", "draw_mouth", "random_look"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """What stays the same in one clip: place, size and light of the face.

    Attributes
    ----------
    x, y : float
        Offset of the mouth from the middle of the picture, in half widths of it.
    scale : float
        Size of the mouth; at 1 it is half as wide as the picture.
    light : float
        Factor on all grey values, about 1.
    slant : float
        Strength of the light from the side, about -0.1 to 0.1.
    texture : ndarray of shape (size, size)
        Unevenness of the skin in grey values.
    """

    x: float
    y: float
    scale: float
    light: float
    slant: float
    texture: FloatArray


def random_look(size: int, rng: np.random.Generator, skin: FloatArray) -> Look:
    """Draw the place and light of one clip; the skin belongs to the speaker."""
    if skin.shape != (size, size):
        raise ValueError(f"skin has shape {skin.shape}, expected {(size, size)}")
    return Look(
        x=0.05 * rng.standard_normal(),
        y=0.05 * rng.standard_normal(),
        scale=1.22 + 0.03 * rng.standard_normal(),
        light=1 + 0.05 * rng.standard_normal(),
        slant=0.06 * rng.standard_normal(),
        texture=skin,
    )


def _inside(distance: FloatArray, pixel: float) -> FloatArray:
    """Cover of a pixel by a shape: 1 well inside, 0 outside, soft at the edge."""
    return np.asarray(np.clip(0.5 - distance / (1.6 * pixel), 0, 1))


def _arch(u: FloatArray, power: float) -> FloatArray:
    """1 in the middle, 0 at the corners |u| = 1 and beyond."""
    return np.asarray(np.clip(1 - u * u, 0, None) ** power)


def draw_mouth(
    opening: FloatArray,
    width: FloatArray,
    protrusion: FloatArray,
    look: Look,
    rng: np.random.Generator,
    *,
    size: int,
) -> NDArray[np.uint8]:
    """Draw one grey picture of a mouth for each instant.

    Parameters
    ----------
    opening, width, protrusion : ndarray of shape (n_frames,), range [0, 1]
        Jaw opening (0: lips closed), lip spreading and lip rounding.
    look : Look
        Place and light.
    rng : numpy.random.Generator
        Source of the head's slow movement and the camera's noise.
    size : int
        Height and width of the pictures in pixels.

    Returns
    -------
    ndarray of shape (n_frames, size, size), dtype uint8
    """
    n_frames = len(opening)
    pixel = 2 / size
    axis = (np.arange(size) + 0.5) * pixel - 1
    sway = _slow_walk(n_frames, 2, rng) * 0.012
    grid_x = (axis[None, None, :] - look.x - sway[0, :, None, None]) / look.scale
    grid_y = (axis[None, :, None] - look.y - sway[1, :, None, None]) / look.scale
    o, w, p = (v[:, None, None] for v in (opening, width, protrusion))

    half_width = 0.50 + 0.17 * w - 0.17 * p - 0.03 * o
    u = grid_x / half_width
    gap = 0.60 * o
    corner = -0.04 + 0.05 * o
    y = grid_y - corner - 0.03 * u * u * (w - 0.3)
    upper_thickness = 0.135 - 0.03 * w + 0.05 * p - 0.02 * o
    lower_thickness = 0.185 - 0.03 * w + 0.06 * p - 0.03 * o
    bow = 1 - 0.16 * np.exp(-((u / 0.13) ** 2))
    inner = u / 0.88
    upper_inner = -0.28 * gap * _arch(inner, 0.6)
    lower_inner = 0.72 * gap * _arch(inner, 0.6)
    upper_outer = -(0.28 * gap + upper_thickness) * _arch(u, 0.62) * bow
    lower_outer = (0.72 * gap + lower_thickness) * _arch(u, 0.52)

    # Skin: lit from above, a shadow under the lower lip, folds beside the mouth.
    chin = 0.30 + 0.72 * gap + lower_thickness - 0.1
    skin = 176 - 12 * grid_y - 16 * (grid_x**2)
    skin = skin - 24 * np.exp(-(((y - chin) / 0.09) ** 2) - (grid_x / 0.36) ** 2)
    skin = skin - 9 * np.exp(-((grid_x / 0.07) ** 2) - ((y + 0.62) / 0.28) ** 2)
    corner_shadow = ((np.abs(u) - 1.05) / 0.12) ** 2 + (y / 0.09) ** 2
    skin = skin - 26 * np.exp(-corner_shadow)
    fold = np.abs(grid_x) - (0.62 + 0.10 * w + 0.22 * (grid_y + 0.3))
    fade = 1 / (1 + np.exp((grid_y - 0.2) / 0.08))
    skin = skin - (4 + 8 * w) * np.exp(-((fold / 0.05) ** 2)) * fade
    skin = skin + look.texture

    upper_tone = 104 - 34 * (y - upper_outer) / (upper_thickness + 0.05)
    lower_depth = (lower_outer - y) / (lower_thickness + 0.05)
    lower_tone = 98 + 26 * np.exp(-(((lower_depth - 0.55) / 0.25) ** 2)) * _arch(u, 1)
    lips = np.where(y < 0.5 * (upper_inner + lower_inner), upper_tone, lower_tone)
    # Fine vertical lines of the lips, denser when they are pursed.
    lips = lips + (1.5 + 3 * p) * np.cos((34 + 10 * p) * np.arcsin(np.clip(u, -1, 1)))

    # Inside: dark, upper teeth just under the upper lip, tongue at the bottom.
    show = np.clip(gap / 0.12, 0, 1)
    teeth_line = upper_inner + (0.10 - 0.05 * p) * _arch(u / 0.8, 0.4)
    teeth_edge = np.maximum(upper_inner - y, y - teeth_line)
    seams = 14 * np.exp(-((np.mod(grid_x + 0.055, 0.11) - 0.055) ** 2) / 0.012**2)
    teeth = 186 - 46 * np.clip(np.abs(u) / 0.8, 0, 1) ** 2 - seams - 20 * p
    tongue_top = lower_inner - (0.10 + 0.12 * o) * _arch(u / 0.75, 0.6)
    inside = np.full_like(grid_x * y, 34.0)
    tongue_cover = _inside(tongue_top - y, 2 * pixel) * np.clip(o * 2, 0, 1)
    inside = inside + (78 - inside) * tongue_cover
    inside = inside + (teeth - inside) * _inside(teeth_edge, pixel) * show

    lip_cover = _inside(np.maximum(upper_outer - y, y - lower_outer), pixel)
    lip_cover = lip_cover * (np.abs(u) < 1)
    hole_cover = _inside(np.maximum(upper_inner - y, y - lower_inner), pixel)
    # Closed lips still meet in a dark line.
    seam = np.exp(-(((y - 0.5 * (upper_inner + lower_inner)) / 0.022) ** 2))
    seam = seam * (np.abs(u) < 0.97)
    picture = skin + (lips - skin) * lip_cover
    picture = picture + (48 - picture) * 0.85 * seam * np.clip(1 - gap / 0.06, 0, 1)
    hole_cover = hole_cover * (np.abs(inner) < 1) * np.clip(gap / 0.03, 0, 1)
    picture = picture + (inside - picture) * hole_cover

    flicker = 1 + 0.006 * _slow_walk(n_frames, 1, rng)[0][:, None, None]
    picture = picture * look.light * flicker * (1 + look.slant * axis)
    picture = picture + 1.5 * rng.standard_normal(picture.shape)
    return np.asarray(np.clip(np.round(picture), 0, 255), dtype=np.uint8)


def speaker_skin(size: int, rng: np.random.Generator) -> FloatArray:
    """Unevenness of one speaker's skin, about 3 grey values strong."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size
    spectrum *= np.exp(-((np.hypot(fx, fy) / 14) ** 2))
    skin = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(3 * skin / (np.std(skin) + 1e-12))


def _slow_walk(n: int, rows: int, rng: np.random.Generator) -> FloatArray:
    """Smooth random movement of unit size, about one second long."""
    knots = max(2, n // 20 + 2)
    values = rng.standard_normal((rows, knots))
    at = np.linspace(0, knots - 1, n)
    return np.stack([np.interp(at, np.arange(knots), row) for row in values])

"""The mouth in a talking-face video: where it is, and square crops of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, median_filter

from drm_transformers._errors import ClipError
from drm_transformers.parameters import is_positive_integer

__all__ = ["crop_mouth", "locate_mouth"]

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]
Locator = Callable[[ByteArray], npt.ArrayLike]

# The mouth in the box of the frontal face detector, in parts of that box's side:
# centre from the left, centre from the top, side of the square.
_CENTRE_X, _CENTRE_Y, _SIDE = 0.50, 0.83, 0.42
# Faces are looked for in about this many frames per clip second at 25 fps, in
# pictures reduced to this width.
_EVERY, _WIDTH = 5, 360
_MEDIAN, _SIGMA = 5, 3.0


def locate_mouth(
    frames: ByteArray,
    *,
    box: tuple[float, float, float] | Locator | None = None,
) -> FloatArray:
    """Square around the mouth in every frame.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, height, width), uint8
        Grey frames of one clip, in order.
    box : None, (x, y, size), or callable, default=None
        None: found with OpenCV's frontal-face cascade and smoothed over the
        clip. Three numbers: a fixed square, in pixels (left, top, side). A
        callable takes `frames` and returns (n_frames, 3).

    Returns
    -------
    ndarray of shape (n_frames, 3)
        Columns x, y (top-left corner) and size, in pixels.

    Raises
    ------
    ClipError
        No face in more than three quarters of the frames looked at; the way out is
        `box`.
    ValueError
        `box` is of another shape, not finite, or its size is not positive.

    Notes
    -----
    Faces are looked for in every fifth frame. What was found is median-filtered,
    interpolated between, and smoothed over time by a Gaussian.

    References
    ----------
    P. Viola, M. Jones, "Rapid object detection using a boosted cascade of
    simple features", CVPR 2001.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.zeros((3, 100, 100), np.uint8)
    >>> locate_mouth(frames, box=(20, 30, 40))[0]
    array([20., 30., 40.])
    """
    frames = _checked_frames(frames)
    if box is None:
        return _from_faces(frames)
    given = box(frames) if callable(box) else box
    boxes = np.asarray(given, dtype=np.float64)
    if not callable(box) and boxes.shape == (3,):
        boxes = np.tile(boxes, (len(frames), 1))
    if boxes.shape != (len(frames), 3):
        raise ValueError(
            f"box gives shape {boxes.shape}; expected x, y, size, or a callable "
            f"that returns ({len(frames)}, 3)"
        )
    return _checked_boxes(boxes, "box")


def crop_mouth(frames: ByteArray, boxes: npt.ArrayLike, size: int = 55) -> ByteArray:
    """Cut squares out of frames and scale them to one size.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, height, width), uint8
        Grey frames.
    boxes : array-like of shape (n_frames, 3)
        x, y, size in pixels, from `locate_mouth`; fractions are kept.
    size : int, > 0, default=55
        Side of the result in pixels.

    Returns
    -------
    ndarray of shape (n_frames, size, size), uint8
        Outside the frame its edge pixels are repeated.

    Raises
    ------
    ValueError
        Shapes do not match, a box is not finite or has no size, or `size` is no
        positive integer.

    Notes
    -----
    The crop is a mean over areas where it shrinks the picture, and linear
    interpolation where it enlarges it.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.full((2, 100, 100), 7, np.uint8)
    >>> crop_mouth(frames, [[10, 20, 50]] * 2).shape
    (2, 55, 55)
    """
    frames = _checked_frames(frames)
    squares = np.asarray(boxes, dtype=np.float64)
    if squares.shape != (len(frames), 3):
        raise ValueError(f"boxes have shape {squares.shape}, not ({len(frames)}, 3)")
    _checked_boxes(squares, "boxes")
    if not is_positive_integer(size):
        raise ValueError(f"size must be a positive integer, got {size!r}")
    out = np.empty((len(frames), size, size), np.uint8)
    for i, (frame, (x, y, side)) in enumerate(zip(frames, squares, strict=True)):
        # Shrinking samples several points per pixel and takes their mean.
        fine = max(1, int(np.ceil(side / size - 1e-6)))
        step = side / (size * fine)
        # Pixel j of the crop is centred at x + (j + 1/2) step - 1/2.
        to_frame = np.array(
            [[step, 0.0, x + 0.5 * step - 0.5], [0.0, step, y + 0.5 * step - 0.5]]
        )
        crop = cv2.warpAffine(
            frame,
            to_frame,
            (size * fine, size * fine),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if fine > 1:
            crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        out[i] = crop
    return out


def _checked_boxes(boxes: FloatArray, name: str) -> FloatArray:
    if not np.isfinite(boxes).all() or (boxes[:, 2] <= 0).any():
        raise ValueError(
            f"{name}: there are values that are not finite, or a size that is not > 0"
        )
    return boxes


def _checked_frames(frames: ByteArray) -> ByteArray:
    frames = np.asarray(frames)
    if frames.ndim != 3 or frames.dtype != np.uint8 or frames.size == 0:
        raise ValueError(
            f"frames are {frames.dtype} of shape {frames.shape}; give uint8 grey "
            "frames (n_frames, height, width)"
        )
    return np.ascontiguousarray(frames)


def _cascade() -> Any:
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    file = Path(folder or ".") / "haarcascade_frontalface_default.xml"
    if not hasattr(cv2, "CascadeClassifier") or not file.is_file():
        raise ClipError(
            f"OpenCV {cv2.__version__} has no face cascade; install opencv-python 4 "
            "(pip install 'opencv-python<5') or give the mouth's place with box="
        )
    return cv2.CascadeClassifier(str(file))


def _from_faces(frames: ByteArray) -> FloatArray:
    cascade = _cascade()
    looked_at = np.unique(np.append(np.arange(0, len(frames), _EVERY), len(frames) - 1))
    scale = min(1.0, _WIDTH / frames.shape[2])
    found: list[int] = []
    faces: list[FloatArray] = []
    for i in looked_at:
        face = _largest_face(cascade, frames[i], scale)
        if face is not None:
            found.append(int(i))
            faces.append(face)
    if not found or len(found) < 0.25 * len(looked_at):
        raise ClipError(
            f"no face found: a face in {len(found)} of the {len(looked_at)} frames "
            "looked at; give the mouth's place with --box x,y,size (box=)"
        )
    return _smoothed_mouth(np.array(found), np.array(faces), len(frames))


def _largest_face(cascade: Any, frame: ByteArray, scale: float) -> FloatArray | None:
    small = frame
    if scale < 1.0:
        small = cv2.resize(
            frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
        )
    least = max(20, min(small.shape) // 6)
    faces = cascade.detectMultiScale(
        small, scaleFactor=1.1, minNeighbors=4, minSize=(least, least)
    )
    if len(faces) == 0:
        return None
    x, y, side, _ = max(faces, key=lambda face: face[2])
    return np.array([x, y, side], dtype=np.float64) / scale


def _smoothed_mouth(found: Any, faces: FloatArray, n_frames: int) -> FloatArray:
    """Mouth squares for all frames from the faces found in some of them."""
    side = faces[:, 2]
    mouth = np.column_stack(
        [faces[:, 0] + _CENTRE_X * side, faces[:, 1] + _CENTRE_Y * side, _SIDE * side]
    )
    mouth = median_filter(mouth, size=(_MEDIAN, 1), mode="nearest")
    frame = np.arange(n_frames)
    centre = np.column_stack([np.interp(frame, found, column) for column in mouth.T])
    centre = gaussian_filter1d(centre, _SIGMA * _EVERY / 3, axis=0, mode="nearest")
    half = centre[:, 2] / 2
    return np.column_stack([centre[:, 0] - half, centre[:, 1] - half, centre[:, 2]])

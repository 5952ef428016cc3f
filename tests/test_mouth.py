"""Mouth squares and crops: geometry on pictures whose crops are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drm_transformers import mouth
from drm_transformers.clips import ClipError, read_clip
from drm_transformers.mouth import crop_mouth, locate_mouth


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (7, 90, 120), np.uint8)


def test_fixed_box(frames):
    np.testing.assert_array_equal(
        locate_mouth(frames, box=(10, 20.5, 30)), [[10, 20.5, 30]] * 7
    )


def test_callable_box(frames):
    boxes = np.arange(21.0).reshape(7, 3) + 1
    got = locate_mouth(frames, box=lambda given: boxes[: len(given)])
    np.testing.assert_array_equal(got, boxes)


@pytest.mark.parametrize(
    "box",
    [(1, 2), (1, 2, 0), (1, np.nan, 3), (1, 2, -5), lambda frames: np.zeros((3, 3))],
)
def test_wrong_box(frames, box):
    with pytest.raises(ValueError, match="box"):
        locate_mouth(frames, box=box)


@pytest.mark.parametrize("box", [(1, np.nan, 3), (np.inf, 1, 3), (1, 2, -5), (1, 2, 0)])
def test_wrong_crops(frames, box):
    with pytest.raises(ValueError, match="boxes"):
        crop_mouth(frames, [box] * len(frames))
    with pytest.raises(ValueError, match="size"):
        crop_mouth(frames, [(1, 2, 5)] * len(frames), 0)


@pytest.mark.parametrize(
    "wrong", [np.zeros((9, 9), np.uint8), np.zeros((2, 9, 9)), np.zeros((0, 9, 9))]
)
def test_wrong_frames(wrong):
    with pytest.raises(ValueError, match="give uint8 grey frames"):
        locate_mouth(wrong, box=(1, 2, 3))
    with pytest.raises(ValueError, match="give uint8 grey frames"):
        crop_mouth(wrong, [[1, 2, 3]] * len(wrong))


def test_no_face_says_how_many_frames_and_the_way_out(frames):
    with pytest.raises(ClipError, match=r"0 of the 3 frames.*--box x,y,size"):
        locate_mouth(frames)


def test_crop_at_its_own_size_is_a_slice(frames):
    got = crop_mouth(frames, [[10, 20, 55]] * 7)
    np.testing.assert_array_equal(got, frames[:, 20:75, 10:65])


def test_each_frame_has_its_own_square(frames):
    boxes = np.column_stack([np.arange(7) * 4, np.arange(7) * 2, np.full(7, 40)])
    got = crop_mouth(frames, boxes, size=40)
    for i in range(7):
        cut = frames[i, 2 * i : 2 * i + 40, 4 * i : 4 * i + 40]
        np.testing.assert_array_equal(got[i], cut)


def test_shrinking_takes_the_mean_over_areas(frames):
    got = crop_mouth(frames, [[6, 3, 60]] * 7, size=20)
    cells = frames[:, 3:63, 6:66].astype(float).reshape(7, 20, 3, 20, 3)
    assert np.abs(got - cells.mean(axis=(2, 4))).max() <= 1.0


@given(
    x=st.floats(15, 35), y=st.floats(15, 35), side=st.floats(10, 50), a=st.floats(-2, 2)
)
def test_crop_of_a_ramp_is_the_ramp(x, y, side, a):
    """Wherever the square lies, a linear picture is sampled at pixel centres."""
    rows, columns = np.mgrid[:90, :90]
    slope = 1.2
    picture = np.round(60 + slope * columns + a * 0.3 * rows)
    got = crop_mouth(picture[None].astype(np.uint8), [[x, y, side]], size=25)[0]
    at = (np.arange(25) + 0.5) * side / 25 - 0.5
    expected = 60 + slope * (x + at)[None, :] + a * 0.3 * (y + at)[:, None]
    assert np.abs(got - expected).max() < 1.6


def test_edges_are_repeated(frames):
    got = crop_mouth(frames, [[-10, -10, 30]] * 7, size=30)
    np.testing.assert_array_equal(got[:, 10:, 10:], frames[:, :20, :20])
    np.testing.assert_array_equal(
        got[:, :10, 10:], np.repeat(frames[:, :1, :20], 10, axis=1)
    )
    far = crop_mouth(frames, [[500, 500, 10]] * 7, size=10)
    assert (far == frames[:, -1:, -1:]).all()


def test_read_only_and_strided_frames(frames):
    frames.flags.writeable = False
    strided = frames[::2, ::-1]
    got = crop_mouth(strided, [[0, 0, 20]] * 4, size=20)
    np.testing.assert_array_equal(got, strided[:, :20, :20])


class FakeCascade:
    """Finds a face of side 100 that drifts, and misses or strays when told to."""

    def __init__(self, miss=(), stray=()):
        self.calls, self.miss, self.stray = 0, miss, stray

    def detectMultiScale(self, picture, **kwargs):
        i, self.calls = self.calls, self.calls + 1
        if i in self.miss:
            return ()
        if i in self.stray:
            return np.array([[0, 0, 60, 60]])
        # The largest is neither the first nor the last, the leftmost nor the lowest.
        small = [[5, 5, 40, 40], [250, 180, 50, 50]]
        return np.array([small[0], [100 + 2 * i, 80, 100, 100], small[1]])


@pytest.mark.parametrize("width", [360, 720])
def test_misses_and_strays_leave_a_smooth_track(monkeypatch, width):
    cascade = FakeCascade(miss=(3, 8), stray=(6,))
    monkeypatch.setattr(mouth, "_cascade", lambda: cascade)
    boxes = locate_mouth(np.zeros((75, 288, width), np.uint8))
    scale = width / 360
    # The face moves 2 reduced pixels every fifth frame.
    face = 100 + 2 * np.arange(75) / 5
    centre = boxes[:, 0] + boxes[:, 2] / 2
    inside = slice(15, 60)
    expected = (face + 50) * scale
    assert np.abs(centre - expected)[inside].max() < 3.5 * scale
    assert np.abs(np.diff(centre)).max() < 1.5 * scale
    np.testing.assert_allclose(boxes[:, 2], 42 * scale)
    assert cascade.calls == 16


def test_a_face_in_under_a_quarter_of_the_frames_is_none(monkeypatch):
    missed = tuple(range(3, 16))
    monkeypatch.setattr(mouth, "_cascade", lambda: FakeCascade(miss=missed))
    with pytest.raises(ClipError, match="a face in 3 of the 16 frames"):
        locate_mouth(np.zeros((75, 288, 360), np.uint8))
    monkeypatch.setattr(mouth, "_cascade", lambda: FakeCascade(miss=missed[1:]))
    assert locate_mouth(np.zeros((75, 288, 360), np.uint8)).shape == (75, 3)


def test_opencv_without_cascade_is_told(monkeypatch):
    monkeypatch.delattr(mouth.cv2, "CascadeClassifier")
    with pytest.raises(ClipError, match=r"opencv-python<5.*box="):
        locate_mouth(np.zeros((3, 60, 60), np.uint8))


@pytest.mark.grid
def test_real_mouths_fill_the_crop(grid):
    """What moves while speaking lies around the middle and away from the sides."""
    for path in sorted((grid / "clips").glob("*.mpg"))[::50]:
        clip = read_clip(path, sound="ignore")
        boxes = locate_mouth(clip.frames)
        assert np.abs(np.diff(boxes[:, :2], axis=0)).max() < 1.5
        crops = crop_mouth(clip.frames, boxes).astype(float)
        moving = crops.std(axis=0)
        moving = np.maximum(moving - np.median(moving), 0)
        at = np.arange(55)
        rows = (moving.sum(axis=1) * at).sum() / moving.sum()
        columns = (moving.sum(axis=0) * at).sum() / moving.sum()
        assert abs(columns - 27) < 7, path.name
        assert abs(rows - 29) < 8, path.name
        side = np.concatenate([moving[:, :4].ravel(), moving[:, -4:].ravel()])
        assert side.mean() < 0.5 * moving[20:40, 15:40].mean(), path.name

"""Paired rows of clips: what belongs to which instant."""

from __future__ import annotations

import numpy as np
import pytest

from drm_transformers.clips import Clip, ClipError, read_clip, write_clip
from drm_transformers.rows import clips_to_rows
from drm_transformers.vocoder import analyze, frame_features

BOX = (4.0, 6.0, 40.0)


def make_clip(name="a", n_frames=10, frame_rate=25.0, sample_rate=12_000, seed=0):
    rng = np.random.default_rng(seed)
    n_samples = round(n_frames / frame_rate * sample_rate)
    frames = rng.integers(0, 256, (n_frames, 60, 70), np.uint8)
    return Clip(name, frames, frame_rate, rng.uniform(-1, 1, n_samples), sample_rate)


@pytest.mark.parametrize(("frame_rate", "window"), [(25.0, 0.2), (30.0, 0.04)])
def test_windows_are_centred_on_the_frames(frame_rate, window):
    """Against a loop over samples, zeros outside the clip."""
    clip = make_clip(frame_rate=frame_rate)
    rows = clips_to_rows([clip], box=BOX, window=window)
    length = round(window * 12_000)
    assert rows.speech.shape == (10, length) and rows.excitation is None
    for i in range(10):
        first = round((i + 0.5) / frame_rate * 12_000 - length / 2)
        for j in range(length):
            inside = 0 <= first + j < len(clip.waveform)
            wanted = clip.waveform[first + j] if inside else 0.0
            assert rows.speech[i, j] == wanted


def test_instants_of_lips_and_speech_agree():
    """A click in the middle of frame 6 is in the middle of row 6's window."""
    clip = make_clip()
    waveform = np.zeros(4800)
    waveform[round(6.5 / 25 * 12_000)] = 1.0
    frames = np.zeros_like(clip.frames)
    frames[6] = 255
    clip = Clip("a", frames, 25.0, waveform, 12_000)
    rows = clips_to_rows([clip], box=BOX)
    assert rows.lips.mean(axis=(1, 2)).argmax() == 6
    assert rows.speech[6].argmax() == 1200


def test_sound_is_resampled():
    time = np.arange(17_640) / 44_100
    clip = make_clip()
    clip = Clip("a", clip.frames, 25.0, np.sin(2 * np.pi * 300 * time), 44_100)
    rows = clips_to_rows([clip], box=BOX)
    first = round(5.5 / 25 * 12_000 - 1200)
    wanted = np.sin(2 * np.pi * 300 * (first + np.arange(2400)) / 12_000)
    assert np.abs(rows.speech[5] - wanted).max() < 5e-3


def test_world_rows_are_those_of_the_clip():
    clip = make_clip()
    rows = clips_to_rows([clip], box=BOX, features="world")
    expected = frame_features(analyze(clip.waveform, 12_000), 10, 25.0)
    np.testing.assert_array_equal(rows.speech, expected.envelope)
    np.testing.assert_array_equal(rows.excitation, expected.excitation)


def test_clips_follow_one_another():
    clips = [make_clip("a", 10), make_clip("b", 7, seed=1)]
    both = clips_to_rows(clips, box=BOX, size=20)
    assert both.lips.shape == (17, 20, 20)
    assert list(both.groups) == ["a"] * 10 + ["b"] * 7
    alone = clips_to_rows(clips[1:], box=BOX, size=20)
    np.testing.assert_array_equal(both.lips[10:], alone.lips)
    np.testing.assert_array_equal(both.speech[10:], alone.speech)


def test_paths_of_equal_name_are_told_apart(tmp_path):
    clip = make_clip()
    paths = []
    for folder in ("s1", "s2"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "a.mp4")
        write_clip(paths[-1], clip.frames, 25, clip.waveform, 12_000)
    rows = clips_to_rows(paths, box=BOX)
    assert list(np.unique(rows.groups)) == [str(p) for p in paths]
    assert list(clips_to_rows(paths[:1], box=BOX).groups) == ["a"] * 10
    np.testing.assert_array_equal(
        clips_to_rows(paths[:1], box=BOX).lips,
        clips_to_rows([read_clip(paths[0])], box=BOX).lips,
    )
    with pytest.raises(ClipError, match="given more than once"):
        clips_to_rows([paths[0], paths[0]], box=BOX)


def test_frame_rates_must_agree(tmp_path):
    clips = [make_clip("a"), make_clip("b", frame_rate=30.0)]
    with pytest.raises(ClipError, match="b: 30 frames per second .* have 25"):
        clips_to_rows(clips, box=BOX)
    paths = []
    for clip in clips:
        paths.append(tmp_path / f"{clip.name}.mp4")
        write_clip(paths[-1], clip.frames, clip.frame_rate, clip.waveform, 12_000)
    rows = clips_to_rows(paths, box=BOX, frame_rate=25.0)
    assert list(rows.groups) == ["a"] * 10 + ["b"] * 8


def test_what_is_said_of_a_bad_clip(tmp_path):
    clip = make_clip("mute")
    silent = Clip("mute", clip.frames, 25.0, None, None)
    with pytest.raises(ClipError, match="mute: no sound"):
        clips_to_rows([silent], box=BOX)
    with pytest.raises(ClipError, match="mute: no face found"):
        clips_to_rows([clip])
    with pytest.raises(ClipError, match="none.mp4: no such file"):
        clips_to_rows([tmp_path / "none.mp4"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"features": "mfcc"}, "features='mfcc'"),
        ({"window": 0.0}, "window=0"),
        ({"size": 0}, "size=0"),
    ],
)
def test_wrong_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        clips_to_rows([make_clip()], box=BOX, **arguments)


def test_no_clips():
    with pytest.raises(ValueError, match="no clips"):
        clips_to_rows([])


@pytest.mark.grid
def test_real_clips(grid):
    paths = sorted((grid / "clips").glob("*.mpg"))[:2]
    rows = clips_to_rows(paths, features="world")
    assert rows.lips.shape == (150, 55, 55)
    assert rows.speech.shape == (150, 257) and rows.excitation.shape == (150, 3)
    assert np.isfinite(np.log(rows.speech)).all()
    assert np.isfinite(rows.excitation).all()
    assert 0.2 < rows.excitation[:, 1].mean() < 0.6

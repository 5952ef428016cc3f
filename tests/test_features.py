"""Reading clips: the cache, bad files, other rates and sizes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drm_transformers.clips import ClipError, read_clip, write_clip
from sklearn_drm.lipspeech import (
    FeatureSettings,
    clip_features,
    feature_cache,
    load_features,
    make_lip_speech,
)
from tests.lip_clips import SETTINGS, SIZE, spoken_clips, write_clips


@pytest.fixture(scope="module")
def clip_paths(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), spoken_clips()[:3])


def load(paths, cache=None, **options):
    return load_features(paths, SETTINGS, cache=cache, n_jobs=1, **options)


def assert_same(first, second):
    for name in ("lips", "envelope", "excitation"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_features_are_those_of_the_clip_in_memory(clip_paths):
    loaded = load(clip_paths)
    direct = clip_features(read_clip(clip_paths[1]), SETTINGS)
    assert [f.name for f in loaded.features] == [p.stem for p in clip_paths]
    assert_same(loaded.features[1], direct)
    assert direct.lips.dtype == np.uint8
    assert direct.envelope.dtype == np.float32


def test_strict_stops_at_the_first_bad_clip(clip_paths, tmp_path):
    paths = [clip_paths[0], tmp_path / "none.mp4", *clip_paths[1:]]
    with pytest.raises(ClipError, match="none.mp4"):
        load(paths, tmp_path / "cache", strict=True)
    assert len(list((tmp_path / "cache").iterdir())) < len(clip_paths)
    assert len(load(paths, strict=False).failures) == 1


def test_a_second_run_only_reads_the_cache(clip_paths, tmp_path, monkeypatch):
    first = load(clip_paths, tmp_path / "new" / "cache")

    def no_reading(*_, **__):
        raise AssertionError("the clip was read again")

    monkeypatch.setattr(feature_cache, "read_clip", no_reading)
    second = load(clip_paths, tmp_path / "new" / "cache")
    for a, b in zip(first.features, second.features, strict=True):
        assert_same(a, b)


def test_the_same_content_under_another_name_is_one_entry(clip_paths, tmp_path):
    renamed = tmp_path / "éloïse 2.mp4"
    renamed.write_bytes(clip_paths[0].read_bytes())
    loaded = load([clip_paths[0], renamed], tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert [f.name for f in loaded.features] == [clip_paths[0].stem, "éloïse 2"]


def test_other_content_or_settings_are_other_entries(clip_paths, tmp_path):
    changing = tmp_path / "clip.mp4"
    changing.write_bytes(clip_paths[0].read_bytes())
    before = load([changing], tmp_path / "cache").features[0]
    changing.write_bytes(clip_paths[1].read_bytes())
    after = load([changing], tmp_path / "cache").features[0]
    assert not np.array_equal(before.lips, after.lips)
    smaller = replace(SETTINGS, size=40)
    other = load_features([changing], smaller, cache=tmp_path / "cache", n_jobs=1)
    assert other.features[0].lips.shape[1:] == (40, 40)
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_box_for_pictures_of_another_size_is_scaled(clip_paths, tmp_path):
    """Also where the cache has the features of the box as it is."""
    half = replace(SETTINGS, box=(5, 10, 40), picture_size=(55, 55))
    known = replace(SETTINGS, box=(10, 20, 80))
    expected = load_features(clip_paths[:1], known, n_jobs=1).features[0]
    literal = replace(half, picture_size=None)
    for settings in (literal, half, half, literal):
        loaded = load_features(clip_paths[:1], settings, cache=tmp_path, n_jobs=1)
        (features,) = loaded.features
        scaled = settings is half
        assert np.array_equal(features.lips, expected.lips) == scaled
        notes = ("the mouth's box is scaled from 55x55 to 110x110 pictures",)
        assert features.notes == notes * scaled
        assert features.picture_size == (110, 110)


def test_a_box_for_pictures_of_another_shape_is_refused(clip_paths, tmp_path):
    load(clip_paths[:1], tmp_path)
    other = replace(SETTINGS, picture_size=(160, 110))
    for cache in (None, tmp_path):
        loaded = load_features(clip_paths[:1], other, cache=cache, n_jobs=1)
        reason = loaded.failures[0][1]
        assert "110x110" in reason and "160x110" in reason and "--box" in reason


def test_the_size_that_a_box_is_for_costs_no_second_reading(
    clip_paths, tmp_path, monkeypatch
):
    first = load(clip_paths, tmp_path)
    monkeypatch.setattr(feature_cache, "read_clip", None)
    fitted = replace(SETTINGS, picture_size=(110, 110))
    again = load_features(clip_paths, fitted, cache=tmp_path, n_jobs=1)
    assert not again.failures
    assert_same(first.features[0], again.features[0])


@given(
    st.tuples(*[st.integers(16, 2000)] * 2),
    st.fractions(Fraction(1, 4), 8),
    st.tuples(*[st.floats(0, 1)] * 3),
)
def test_a_box_in_the_picture_stays_in_the_scaled_picture(size, by, where):
    width, height = size
    side = 1 + where[2] * (min(size) - 1)
    box = (where[0] * (width - side), where[1] * (height - side), side)
    settings = FeatureSettings(box=box, picture_size=size)
    assert settings.box_in(width, height) == box
    assert not settings.box_notes(width, height)
    wide, high = round(width * by), round(height * by)
    if abs(wide / width / (high / height) - 1) > 0.01:
        return
    x, y, scaled = settings.box_in(wide, high)
    np.testing.assert_allclose([x, y, scaled], np.multiply(box, float(by)), rtol=0.25)
    assert bool(settings.box_notes(wide, high)) == (size != (wide, high))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "shape"])
def test_a_damaged_entry_is_made_anew(clip_paths, tmp_path, damage):
    first = load(clip_paths[:1], tmp_path).features[0]
    (entry,) = tmp_path.iterdir()
    good = entry.read_bytes()
    if damage == "shape":
        np.savez(entry, lips=np.zeros((3, 2, 2)), envelope=[1], excitation=[1])
    else:
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 0xFF
        entry.write_bytes(
            {
                "truncated": good[: len(good) // 2],
                "flipped": bytes(flipped),
                "empty": b"",
                "text": b"not an archive",
            }[damage]
        )
    assert_same(load(clip_paths[:1], tmp_path).features[0], first)
    assert_same(feature_cache._read_entry(entry, first.name, SETTINGS), first)
    assert list(tmp_path.iterdir()) == [entry]


def test_two_processes_share_a_cache(clip_paths, tmp_path):
    code = (
        "import sys; from sklearn_drm.lipspeech import FeatureSettings, load_features\n"
        f"settings = FeatureSettings(box=(0, 0, {SIZE}))\n"
        "loaded = load_features(sys.argv[2:], settings, cache=sys.argv[1], n_jobs=1)\n"
        "print(sum(float(f.envelope.sum()) for f in loaded.features))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), *map(str, clip_paths)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert printed[0] == printed[1] != ""
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".npz"] * len(clip_paths)


def environment():
    """What a new process needs to import what this one has imported."""
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def test_bad_clips_are_named_and_the_rest_goes_on(clip_paths, tmp_path):
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("this is no video")
    empty.touch()
    silent = write_clips(tmp_path, spoken_clips()[:1], names=["mute"], sound=False)[0]
    bad = [tmp_path / "missing.mp4", text, empty, silent]
    lines = []
    loaded = load([clip_paths[0], *bad, clip_paths[1]], tmp_path, warn=lines.append)
    assert loaded.paths == [clip_paths[0], clip_paths[1]]
    assert [path for path, _ in loaded.failures] == bad
    assert len(lines) == 4
    for line, path in zip(lines, bad, strict=True):
        assert str(path) in line and "\n" not in line
    assert "no sound" in lines[3]


def test_processes_find_what_one_process_finds(clip_paths, tmp_path):
    missing = tmp_path / "missing.mp4"
    one, many = (
        load_features([*clip_paths, missing], SETTINGS, n_jobs=n) for n in (1, 2)
    )
    assert [p for p, _ in one.failures] == [p for p, _ in many.failures] == [missing]
    for a, b in zip(one.features, many.features, strict=True):
        assert_same(a, b)


def test_no_face_says_how_to_go_on(clip_paths):
    loaded = load_features(clip_paths[:1], FeatureSettings(), n_jobs=1)
    assert "--box" in loaded.failures[0][1]


def test_a_box_outside_the_picture_is_refused(clip_paths):
    outside = FeatureSettings(box=(20, 20, SIZE))
    reason = load_features(clip_paths[:1], outside, n_jobs=1).failures[0][1]
    assert "20,20,110" in reason and "110x110" in reason and "--box" in reason


def test_another_frame_rate_is_resampled(tmp_path):
    (clip,) = make_lip_speech(1, 1.0, frame_rate=30, random_state=0)
    with pytest.raises(ClipError, match="30 frames per second"):
        clip_features(clip, SETTINGS)
    (path,) = write_clips(tmp_path, [clip])
    assert len(load([path]).features[0].lips) == 25


def test_a_silent_clip_works(tmp_path):
    clip = spoken_clips()[0]
    path = tmp_path / "silent.mp4"
    sound = np.zeros_like(clip.waveform)
    write_clip(path, clip.frames, clip.frame_rate, sound, clip.sample_rate)
    found = load([path]).features[0]
    assert np.isfinite(found.envelope).all() and (found.envelope > 0).all()
    assert (found.excitation[:, 1] == 0).all()


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("SKLEARN_DRM_CACHE", str(tmp_path))
    assert feature_cache.default_cache() == tmp_path
    monkeypatch.delenv("SKLEARN_DRM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform.startswith("linux"):
        assert feature_cache.default_cache() == tmp_path / "xdg" / "sklearn-drm"


@pytest.mark.grid
def test_real_clips_and_a_damaged_one(grid):
    paths = [*sorted((grid / "clips").glob("*.mpg"))[:1]]
    paths += sorted((grid / "damaged").glob("*.mpg"))[:1]
    lines = []
    loaded = load_features(paths, FeatureSettings(), n_jobs=1, warn=lines.append)
    assert loaded.features[0].lips.shape[1:] == (55, 55)
    assert len(loaded.features[0].lips) in (74, 75)
    # The damaged clip's good part is used, or it is skipped; both are said.
    assert len(lines) == 1 and paths[1].stem in lines[0]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("box", (0, 0, 0)),
        ("box", (0, 0, np.nan)),
        ("box", (0, 0)),
        ("box", 110),
        ("size", 0),
        ("size", 55.0),
        ("frame_rate", 0),
        ("frame_rate", np.inf),
        ("sample_rate", 0),
        ("sample_rate", 12_000.5),
        ("sample_rate", 8000),
        ("picture_size", (0, 288)),
        ("picture_size", (360,)),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        FeatureSettings(**{setting: value})

"""Clips: reading by time stamps, writing, and what is said of bad files."""

from __future__ import annotations

import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from drm_transformers import _decoding
from drm_transformers._decoding import Decoded, _first_good
from drm_transformers.clips import (
    ClipError,
    _constant_rate,
    atomic_path,
    read_clip,
    read_sound,
    write_clip,
    write_wav,
)
from sklearn_drm.lipspeech.colour import colour_frames
from tests.clip_files import (
    FLASH_FRAME,
    beep,
    beep_start,
    flash_and_beep,
    mux,
    resized,
    set_display_matrix,
)


def noisy_flash_and_beep(n_frames=50):
    """The same with grain, so that pictures fill most of the file."""
    frames, start = flash_and_beep(n_frames=n_frames)
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 40, frames.shape, np.uint8)
    return np.minimum(frames, 200) + grain, start


def brightest(clip):
    return int(clip.frames.reshape(len(clip.frames), -1).mean(axis=1).argmax())


@pytest.mark.parametrize("rate", [25, 30, 30000 / 1001, 12.5, 50])
@pytest.mark.parametrize("sample_rate", [12_000, 44_100, 48_000])
def test_written_clip_reads_back(tmp_path, rate, sample_rate):
    frames, start = flash_and_beep(rate=rate)
    n_samples = round(len(frames) / rate * sample_rate)
    sound = beep(n_samples, sample_rate, start)
    write_clip(tmp_path / "a.mp4", frames, rate, sound, sample_rate)
    clip = read_clip(tmp_path / "a.mp4", sound="required")
    assert clip.name == "a"
    assert clip.frame_rate == pytest.approx(rate, rel=1e-4)
    assert clip.frames.shape == frames.shape
    assert np.abs(clip.frames.astype(int) - frames).mean() < 2.0
    assert len(clip.waveform) == round(len(frames) / rate * clip.sample_rate)
    assert brightest(clip) == FLASH_FRAME
    assert beep_start(clip.waveform, clip.sample_rate) == pytest.approx(start, abs=2e-3)
    level = np.sqrt((clip.waveform**2).sum() / clip.sample_rate)
    assert level == pytest.approx(np.sqrt((sound**2).sum() / sample_rate), rel=0.03)


@pytest.mark.parametrize("sound_time", [0.0, 0.2, -0.12])
@pytest.mark.parametrize("first", [5, 18])
def test_streams_are_aligned_by_their_time_stamps(tmp_path, sound_time, first):
    """The sound stream starts elsewhere than the pictures, and neither at zero."""
    frames, start = flash_and_beep()
    sound = beep(2 * 44_100, 44_100, start - sound_time)
    path = tmp_path / "a.mpg"
    mux(path, frames, 25, sound, start=first, sound_time=first / 25 + sound_time)
    with av.open(str(path)) as container:
        assert float(container.start_time / 1e6) != 0
    clip = read_clip(path)
    assert clip.frames.shape == frames.shape
    assert brightest(clip) == FLASH_FRAME
    assert beep_start(clip.waveform, 44_100) == pytest.approx(start, abs=2e-4)
    assert len(clip.waveform) == 2 * 44_100
    if sound_time > 0:
        assert not clip.waveform[: int((sound_time - 0.01) * 44_100)].any()


@pytest.mark.parametrize(("codec", "rate"), [("pcm_s16le", 8000), ("flac", 96_000)])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_channels_are_averaged_at_any_rate(tmp_path, codec, rate, layout):
    frames, start = flash_and_beep()
    left = beep(2 * rate, rate, start)
    sound = left if layout == "mono" else np.column_stack([left, np.zeros_like(left)])
    mux(
        tmp_path / "a.mkv",
        frames,
        25,
        sound,
        sample_rate=rate,
        audio_codec=codec,
        layout=layout,
    )
    clip = read_clip(tmp_path / "a.mkv")
    assert clip.sample_rate == rate
    expected = left if layout == "mono" else left / 2
    assert np.abs(clip.waveform - expected).max() < 1e-3


def test_colour_becomes_luma(tmp_path):
    frames = np.zeros((10, 32, 48, 3), np.uint8)
    frames[:, :, :16, 0] = 200
    frames[:, :, 16:32, 1] = 200
    frames[:, :, 32:, 2] = 200
    write_clip(tmp_path / "a.mp4", frames, 25)
    grey = read_clip(tmp_path / "a.mp4").frames[5]
    expected = cv2.cvtColor(frames[5], cv2.COLOR_RGB2GRAY)
    for x in (8, 24, 40):
        assert abs(int(grey[16, x]) - int(expected[16, x])) <= 4


def test_frame_rate_is_resampled_by_the_picture_on_screen(tmp_path):
    frames = np.repeat(np.arange(0, 240, 8, dtype=np.uint8), 32 * 32)
    frames = frames.reshape(30, 32, 32)
    write_clip(tmp_path / "a.mp4", frames, 30, np.zeros(48_000), 48_000)
    clip = read_clip(tmp_path / "a.mp4", frame_rate=25)
    assert clip.frame_rate == 25 and len(clip.frames) == 25
    assert len(clip.waveform) == 48_000
    shown = np.round(clip.frames.mean(axis=(1, 2)) / 8).astype(int)
    assert list(shown) == [int((i + 0.5) / 25 * 30) for i in range(25)]
    assert any("resampled" in note for note in clip.notes)


@pytest.mark.parametrize(("jitter", "moved"), [(0.0, False), (0.6, False), (0.9, True)])
def test_small_jitter_of_frame_times_moves_no_frame(jitter, moved):
    frames = np.arange(20, dtype=np.uint8)[:, None, None]
    times = np.arange(20) / 25
    times[[4, 11]] += jitter / 25
    decoded = Decoded(frames, times, 25.0, None, 0.0, None, ())
    found, notes = _constant_rate(decoded, 25.0, asked=False)
    assert bool(notes) == moved
    assert np.array_equal(found, frames) != moved


def test_holes_in_the_sound_are_silent_and_small_steps_are_none():
    reader = _decoding._Reader("a.mkv", None, 600.0)
    reader.sample_rate = 1000
    ones = np.ones(100)
    # 150 ms are missing before the second block, 15 before the third, whose time is
    # rounded; the last has no time.
    reader.blocks = [(2.0, ones), (2.25, 2 * ones), (2.365, 3 * ones), (None, 4 * ones)]
    waveform, start = reader._sound()
    assert start == 2.0
    expected = [ones, np.zeros(150), 2 * ones, 3 * ones, 4 * ones]
    np.testing.assert_array_equal(waveform, np.concatenate(expected))


def test_frames_without_a_time_follow_their_neighbours():
    times = _decoding._monotonic_times([None, None, 0.1, None, 0.3], 25)
    np.testing.assert_allclose(times, [0, 0.04, 0.1, 0.14, 0.3])


def test_uneven_frame_times_are_put_on_a_grid(tmp_path):
    """A picture shown for 10 periods fills 10 frames."""
    frames = np.repeat(np.arange(0, 200, 10, dtype=np.uint8), 32 * 32)
    frames = frames.reshape(20, 32, 32)
    times = np.arange(20) / 25
    times[10:] += 9 / 25
    mux(
        tmp_path / "a.mkv",
        frames,
        25,
        frame_times=times,
        video_codec="libx264",
    )
    clip = read_clip(tmp_path / "a.mkv")
    shown = np.round(clip.frames.mean(axis=(1, 2)) / 10).astype(int)
    assert list(shown) == [*range(9), *[9] * 10, *range(10, 20)]


def scene(width, height, n_frames=5):
    """A disc and a bar, in colour: no turn, mirror or stretch looks like another."""
    picture = np.full((height, width, 3), 40, np.uint8)
    cv2.circle(picture, (width // 3, height // 3), height // 5, (230, 120, 60), -1)
    cv2.rectangle(picture, (0, height - 16), (width // 4, height), (60, 200, 250), -1)
    return np.repeat(picture[None], n_frames, axis=0)


def grey(frames):
    return np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames])


def assert_shows(path, seen, level=3.0):
    """Both readings of a file show these pictures, and agree to the last bit."""
    clip = read_clip(path)
    assert clip.frames.shape == seen.shape[:3]
    assert np.abs(clip.frames.astype(int) - grey(seen)).mean() < level
    colour = colour_frames(path, clip.frames)
    assert colour.shape == seen.shape
    assert np.abs(colour.astype(int) - seen).mean() < 2 * level
    return clip.notes


@pytest.mark.parametrize(
    ("name", "codec", "stored", "pixels", "seen"),
    [
        ("a.mp4", "libx264", (270, 288), (4, 3), (360, 288)),
        ("a.mkv", "libx264", (352, 288), (12, 11), (384, 288)),
        ("a.mpg", "mpeg2video", (720, 576), (64, 45), (1024, 576)),
        ("a.mpg", "mpeg2video", (720, 480), (8, 9), (640, 480)),
        ("a.dv", "dvvideo", (720, 576), (16, 15), (768, 576)),
        ("a.avi", "mpeg4", (180, 144), (2, 1), (360, 144)),
    ],
)
def test_pixels_that_are_not_square(tmp_path, name, codec, stored, pixels, seen):
    frames = scene(*seen)
    path = tmp_path / name
    rate = Fraction(30000, 1001) if seen[1] == 480 else 25
    mux(path, resized(frames, stored), rate, video_codec=codec, pixels=pixels)
    (note,) = assert_shows(path, frames)
    change = "widened" if seen > stored else "narrowed"
    assert f"pixels {pixels[0]}:{pixels[1]}, pictures {change} to" in note
    assert note.endswith(f"{seen[0]}x{seen[1]}")


@pytest.mark.parametrize("pixels", [None, (1, 1), (404, 405)])
def test_square_pixels_are_left_as_they_are(tmp_path, pixels):
    frames = scene(360, 288)
    mux(tmp_path / "a.mkv", frames, 25, video_codec="libx264", pixels=pixels)
    with av.open(str(tmp_path / "a.mkv")) as container:
        stored = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    clip = read_clip(tmp_path / "a.mkv")
    np.testing.assert_array_equal(clip.frames, stored)
    assert clip.notes == ()


@pytest.mark.parametrize("pixels", [(16, 1), (1, 9)])
def test_pixels_that_cannot_be_are_not_believed(tmp_path, pixels):
    frames = scene(64, 48)
    mux(tmp_path / "a.mkv", frames, 25, video_codec="libx264", pixels=pixels)
    (note,) = assert_shows(tmp_path / "a.mkv", frames, level=8)
    assert f"pixels {pixels[0]}:{pixels[1]} " in note and "square" in note


def test_the_limit_of_size_holds_for_widened_pictures(tmp_path, monkeypatch):
    frames = scene(128, 48, n_frames=10)
    path = tmp_path / "a.mkv"
    mux(path, resized(frames, (64, 48)), 25, video_codec="libx264", pixels=(2, 1))
    monkeypatch.setattr(_decoding, "_MAX_FRAME_BYTES", 10 * 128 * 48)
    assert len(read_clip(path).frames) == 10
    monkeypatch.setattr(_decoding, "_MAX_FRAME_BYTES", 10 * 128 * 48 - 1)
    # By the header alone; and while decoding, where the header tells no length.
    for other in ("_collect", "_check_declared_length"):
        with monkeypatch.context() as patch:
            patch.setattr(_decoding._Reader, other, lambda *_: None)
            with pytest.raises(ClipError, match=r"a\.mkv: its frames need more"):
                read_clip(path)


@pytest.mark.parametrize(
    ("matrix", "turned", "word"),
    [
        ((0, 1, -1, 0), lambda f: f.transpose(0, 2, 1, 3)[:, :, ::-1], "90 degrees c"),
        ((-1, 0, 0, -1), lambda f: f[:, ::-1, ::-1], "180 degrees"),
        ((0, -1, 1, 0), lambda f: f.transpose(0, 2, 1, 3)[:, ::-1], "90 degrees a"),
        ((-1, 0, 0, 1), lambda f: f[:, :, ::-1], "left to right"),
        ((1, 0, 0, -1), lambda f: f[:, ::-1], "top to bottom"),
        ((0, 1, 1, 0), lambda f: f.transpose(0, 2, 1, 3), "90 degrees and mirrored"),
    ],
)
def test_pictures_are_turned_as_the_file_asks(tmp_path, matrix, turned, word):
    frames = scene(96, 64)
    path = tmp_path / "a.mp4"
    write_clip(path, frames, 25)
    set_display_matrix(path, matrix)
    (note,) = assert_shows(path, turned(frames))
    assert word in note
    # OpenCV turns by itself, and knows no mirrors.
    if "mirror" not in note:
        shown = cv2.cvtColor(cv2.VideoCapture(str(path)).read()[1], cv2.COLOR_BGR2GRAY)
        assert np.abs(shown.astype(int) - read_clip(path).frames[0]).mean() < 3


def test_a_portrait_picture_with_pixels_that_are_not_square(tmp_path):
    """Pixels are widened as they are stored, before the picture is turned."""
    frames = scene(128, 48)
    path = tmp_path / "a.mp4"
    mux(path, resized(frames, (96, 48)), 25, video_codec="libx264", pixels=(4, 3))
    set_display_matrix(path, (0, -1, 1, 0))
    notes = assert_shows(path, np.rot90(frames, 1, (1, 2)))
    assert len(notes) == 2


@pytest.mark.parametrize("matrix", [(0.7, 0.7, -0.7, 0.7), (1, 0, 1, 0), (0, 0, 0, 0)])
def test_other_display_matrices_turn_nothing(tmp_path, matrix):
    frames = scene(96, 64)
    write_clip(tmp_path / "a.mp4", frames, 25)
    set_display_matrix(tmp_path / "a.mp4", matrix)
    notes = assert_shows(tmp_path / "a.mp4", frames)
    assert all("not turned" in note for note in notes)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e30])
def test_sound_that_is_no_number_is_refused(tmp_path, value):
    path = tmp_path / "float.wav"
    wavfile.write(path, 8000, np.full(800, value, dtype=np.float32))
    with pytest.raises(ClipError, match=r"float\.wav: its sound has samples"):
        read_sound(path)


def test_no_sound(tmp_path):
    frames, _ = flash_and_beep()
    write_clip(tmp_path / "a.mp4", frames, 25)
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.waveform is None and clip.sample_rate is None
    with pytest.raises(ClipError, match=r"a\.mp4: no sound track"):
        read_clip(tmp_path / "a.mp4", sound="required")
    with pytest.raises(ClipError, match=r"a\.mp4: no sound track"):
        read_sound(tmp_path / "a.mp4")


def test_sound_can_be_ignored(tmp_path):
    frames, start = flash_and_beep()
    sound = beep(96_000, 48_000, start)
    write_clip(tmp_path / "a.mp4", frames, 25, sound, 48_000)
    assert read_clip(tmp_path / "a.mp4", sound="ignore").waveform is None


def test_silent_clip_works(tmp_path):
    frames, _ = flash_and_beep()
    write_clip(tmp_path / "a.mp4", frames, 25, np.zeros(24_000), 12_000)
    clip = read_clip(tmp_path / "a.mp4", sound="required")
    assert np.abs(clip.waveform).max() < 1e-6


def _missing(folder):
    return folder / "none.mp4"


def _folder(folder):
    return folder


def _empty(folder):
    (folder / "b.mp4").touch()
    return folder / "b.mp4"


def _text(folder):
    (folder / "b.txt").write_text("words, and no picture\n" * 50)
    return folder / "b.txt"


def _noise(folder):
    rng = np.random.default_rng(0)
    (folder / "b.mp4").write_bytes(rng.bytes(20_000))
    return folder / "b.mp4"


def _picture(folder):
    cv2.imwrite(str(folder / "b.png"), np.zeros((32, 32), np.uint8))
    return folder / "b.png"


def _sound_only(folder):
    write_wav(folder / "b.wav", np.zeros(1000), 8000)
    return folder / "b.wav"


def _cut_to_header(folder):
    write_clip(folder / "b.mp4", flash_and_beep()[0], 25)
    data = (folder / "b.mp4").read_bytes()
    (folder / "b.mp4").write_bytes(data[: data.index(b"mdat") + 100])
    return folder / "b.mp4"


def _cut_before_index(folder):
    write_clip(folder / "b.mp4", flash_and_beep()[0], 25)
    data = (folder / "b.mp4").read_bytes()
    (folder / "b.mp4").write_bytes(data[:200])
    return folder / "b.mp4"


def _playlist(folder):
    (folder / "b.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n"
    )
    return folder / "b.m3u8"


@pytest.mark.parametrize(
    "make",
    [
        _missing,
        _folder,
        _empty,
        _text,
        _noise,
        _picture,
        _sound_only,
        _cut_to_header,
        _cut_before_index,
        _playlist,
    ],
)
def test_bad_file_gives_one_line_that_names_it(tmp_path, make):
    path = make(tmp_path)
    with pytest.raises(ClipError) as caught:
        read_clip(path)
    message = str(caught.value)
    assert (
        "\n" not in message and str(path) in message and len(message) > len(str(path))
    )


def test_unreadable_file(tmp_path, monkeypatch):
    """Permissions do not bind the superuser, so the refusal is made here."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ClipError, match=r"a\.mp4: cannot be read \(Permission denied"):
        read_clip(path)


def test_part_of_a_cut_file_is_used(tmp_path):
    frames, start = noisy_flash_and_beep(n_frames=75)
    sound = beep(3 * 44_100, 44_100, start)
    path = tmp_path / "a.mpg"
    mux(path, frames, 25, sound)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    clip = read_clip(path)
    assert 30 < len(clip.frames) < 75
    assert brightest(clip) == FLASH_FRAME
    assert beep_start(clip.waveform, 44_100) == pytest.approx(start, abs=2e-4)


def test_long_clip_is_refused(tmp_path):
    write_clip(tmp_path / "a.mp4", flash_and_beep()[0], 25)
    assert len(read_clip(tmp_path / "a.mp4", max_seconds=2.1).frames) == 50
    with pytest.raises(ClipError, match=r"a\.mp4: 2 s long, more than max_seconds=1"):
        read_clip(tmp_path / "a.mp4", max_seconds=1)


def test_missing_key_frame(tmp_path):
    """Frames up to the next key frame are dropped, and the sound stays aligned."""
    frames, start = noisy_flash_and_beep()
    sound = beep(2 * 44_100, 44_100, start)
    mux(tmp_path / "a.mpg", frames, 25, sound, drop_first_picture=True)
    clip = read_clip(tmp_path / "a.mpg")
    dropped = 50 - len(clip.frames)
    assert dropped == 12
    # The file itself begins with its second picture.
    assert clip.start == pytest.approx((dropped - 1) / 25)
    assert brightest(clip) == FLASH_FRAME - dropped
    assert beep_start(clip.waveform, 44_100) == pytest.approx(
        start - dropped / 25, abs=2e-4
    )


def test_blank_key_frame(tmp_path):
    """A flat grey picture stands for the missing key frame: it decodes, wrongly."""
    frames, start = noisy_flash_and_beep()
    frames[:12] = 128
    sound = beep(2 * 44_100, 44_100, start)
    mux(tmp_path / "a.mpg", frames, 25, sound)
    clip = read_clip(tmp_path / "a.mpg")
    assert clip.notes == ("damaged start: 12 frames dropped",)
    assert clip.start == pytest.approx(12 / 25)
    assert read_clip(tmp_path / "a.mpg", frame_rate=10).start == clip.start
    assert brightest(clip) == FLASH_FRAME - 12
    assert beep_start(clip.waveform, 44_100) == pytest.approx(start - 12 / 25, abs=2e-4)


def test_start_before_the_first_whole_key_frame():
    """Decoders differ in whether they show pictures that lack their key frame."""
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    keys = [False, False, True, False, True]
    assert _first_good([picture] * 5, keys, [False] * 5) == 2
    assert _first_good([picture] * 5, keys, [True, True, True, False, False]) == 4
    assert _first_good([picture] * 5, [False] * 5, [False] * 5) == 0


def test_flat_clip_is_not_taken_for_damaged(tmp_path):
    write_clip(tmp_path / "a.mp4", np.full((30, 32, 32), 128, np.uint8), 25)
    clip = read_clip(tmp_path / "a.mp4")
    assert len(clip.frames) == 30 and clip.notes == ()


def test_file_is_one_that_browsers_play(tmp_path):
    frames, start = flash_and_beep(size=(55, 55))
    path = tmp_path / "a.mp4"
    write_clip(path, frames, 25, beep(24_000, 12_000, start), 12_000)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec.name, audio.codec.name) == ("h264", "aac")
        assert video.codec_context.pix_fmt == "yuv420p"
        assert (video.width, video.height) == (56, 56)
        # SMPTE 170M: what red-green-blue was coded by, whatever players expect.
        assert video.codec_context.colorspace == 6
        assert audio.sample_rate == 48_000
        assert float(audio.duration * audio.time_base) == pytest.approx(2.0, abs=0.03)
    # The odd side's last row and column are repeated.
    assert np.abs(read_clip(path).frames[5, :55, :55] - frames[5].astype(int)).max() < 9


def test_size_scales_the_pictures(tmp_path):
    ramp = np.tile(np.arange(55, dtype=np.uint8) * 4, (5, 55, 1))
    write_clip(tmp_path / "a.mp4", ramp, 25, size=(220, 110))
    got = read_clip(tmp_path / "a.mp4").frames
    assert got.shape == (5, 110, 220)
    x = np.arange(20, 200)
    expected = ((x + 0.5) / 4 - 0.5) * 4
    assert np.abs(got[2, 50, 20:200] - expected).max() < 4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"frames": np.zeros((3, 8, 8))}, "float64"),
        ({"frames": np.zeros((8, 8), np.uint8)}, "shape"),
        ({"frames": np.zeros((0, 8, 8), np.uint8)}, "nothing to write"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"size": (55, 55)}, "even"),
        ({"waveform": np.zeros(100)}, "sample_rate is needed"),
        ({"waveform": np.array([np.nan]), "sample_rate": 8000}, "NaN"),
        ({"waveform": np.zeros((2, 9)), "sample_rate": 8000}, "shape"),
    ],
)
def test_what_cannot_be_written(tmp_path, change, match):
    arguments = {"frames": np.zeros((3, 8, 8), np.uint8), "frame_rate": 25} | change
    with pytest.raises(ValueError, match=match):
        write_clip(tmp_path / "a.mp4", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_sound_longer_than_the_pictures_is_written_whole(tmp_path):
    frames, _ = flash_and_beep(n_frames=25)
    write_clip(tmp_path / "a.mp4", frames, 25, beep(72_000, 48_000, 1.3), 48_000)
    waveform, rate = read_sound(tmp_path / "a.mp4")
    assert len(waveform) / rate == pytest.approx(1.5, abs=0.03)
    assert beep_start(waveform, rate) == pytest.approx(1.3, abs=2e-3)


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=50))
def test_wav_holds_16_bit_samples(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    write_wav(path, values, 12_000)
    rate, pcm = wavfile.read(path)
    assert rate == 12_000 and pcm.dtype == np.int16
    limited = np.clip(values, -1, 32767 / 32768)
    assert np.abs(pcm / 32768 - limited).max() <= 0.5 / 32768 + 1e-12
    waveform, rate = read_sound(path)
    assert rate == 12_000
    np.testing.assert_array_equal(waveform, pcm / 32768)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_wav_of_other_programs(tmp_path, dtype):
    wanted = np.linspace(-0.9, 0.9, 500)
    if dtype is np.uint8:
        stored = np.round(wanted * 128 + 128).astype(dtype)
    elif dtype is np.float32:
        stored = wanted.astype(dtype)
    else:
        stored = np.round(wanted * -float(np.iinfo(dtype).min)).astype(dtype)
    wavfile.write(tmp_path / "a.wav", 16_000, stored)
    waveform, _ = read_sound(tmp_path / "a.wav")
    assert np.abs(waveform - wanted).max() < (0.005 if dtype is np.uint8 else 4e-5)


def test_read_sound_resamples(tmp_path):
    time = np.arange(48_000) / 48_000
    write_wav(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 48_000)
    waveform, rate = read_sound(tmp_path / "a.wav", sample_rate=12_000)
    assert rate == 12_000 and len(waveform) == 12_000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(12_000) / 12_000)
    assert np.abs(waveform - expected)[100:-100].max() < 2e-3


def test_atomic_path_replaces_only_on_success(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    for error in (KeyboardInterrupt, SystemExit, RuntimeError):
        with pytest.raises(error), atomic_path(path) as temporary:
            assert temporary.parent == tmp_path and temporary.suffix == ".txt"
            temporary.write_text("half")
            raise error
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupt_while_writing_leaves_the_old_clip(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    frames, _ = flash_and_beep()
    write_clip(path, frames, 25)
    before = path.read_bytes()
    monkeypatch.setattr(
        "drm_transformers.clip_writing._picture", interrupt_after(20), raising=True
    )
    with pytest.raises(KeyboardInterrupt):
        write_clip(path, frames, 25)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def interrupt_after(n):
    """A stand-in for the making of one picture that is interrupted at the n-th."""
    from drm_transformers import clip_writing

    original, calls = clip_writing._picture, []

    def picture(*args):
        calls.append(args)
        if len(calls) == n:
            raise KeyboardInterrupt
        return original(*args)

    return picture


def test_interrupted_wav_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    write_wav(path, np.ones(100) / 2, 8000)
    before = path.read_bytes()

    def interrupt(self, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(wave.Wave_write, "writeframes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_wav(path, np.zeros(100), 8000)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(ClipError, match=r"cannot write .*no folder .*create it"):
        write_wav(tmp_path / "none" / "a.wav", np.zeros(3), 8000)
    with pytest.raises(ClipError, match="it is a folder or a device"):
        write_wav(tmp_path, np.zeros(3), 8000)
    (tmp_path / "file").touch()
    with pytest.raises(ClipError, match="cannot write"):
        write_wav(tmp_path / "file" / "a.wav", np.zeros(3), 8000)


def test_written_file_has_ordinary_permissions(tmp_path):
    (tmp_path / "plain").touch()
    write_wav(tmp_path / "a.wav", np.zeros(3), 8000)
    modes = [(tmp_path / name).stat().st_mode for name in ("plain", "a.wav")]
    assert modes[0] == modes[1]


def test_link_is_followed(tmp_path):
    (tmp_path / "real.wav").touch()
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write_wav(tmp_path / "link.wav", np.zeros(3), 8000)
    assert (tmp_path / "link.wav").is_symlink()
    assert (tmp_path / "real.wav").stat().st_size > 0


def test_nothing_on_standard_error(tmp_path):
    """FFmpeg's own complaints about a damaged file stay out of the terminal."""
    frames, start = flash_and_beep()
    mux(tmp_path / "a.mpg", frames, 25, beep(88_200, 44_100, start))
    data = bytearray((tmp_path / "a.mpg").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    (tmp_path / "a.mpg").write_bytes(data)
    code = (
        "import sys; from drm_transformers.clips import read_clip, write_clip\n"
        "clip = read_clip(sys.argv[1])\n"
        "write_clip(sys.argv[1] + '.mp4', clip.frames, 25, clip.waveform, 44100)\n"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "a.mpg")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(root / "transformers"), "PATH": ""},
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.grid
def test_real_clips(grid):
    for path in sorted((grid / "clips").glob("*.mpg"))[::60]:
        clip = read_clip(path, sound="required")
        assert clip.frames.shape[1:] == (288, 360)
        assert len(clip.frames) in (74, 75)
        assert clip.frame_rate == 25 and clip.notes == () and clip.start == 0
        assert len(clip.waveform) == len(clip.frames) * 1764
        assert 0.05 < np.abs(clip.waveform).max() <= 1


@pytest.mark.grid
def test_real_damaged_clips(grid):
    """They begin with 12 grey frames; the 13th is a picture."""
    for path in sorted((grid / "damaged").glob("*.mpg")):
        clip = read_clip(path)
        assert clip.notes == ("damaged start: 12 frames dropped",)
        assert clip.start == pytest.approx(12 / 25) and len(clip.frames) == 63
        assert (clip.frames[:, ::4, ::4].std(axis=(1, 2)) > 30).all()
        with av.open(str(path)) as container:
            sound = [f.to_ndarray().mean(axis=0) for f in container.decode(audio=0)]
        later = np.concatenate(sound)[12 * 1764 :] / 32768
        np.testing.assert_allclose(clip.waveform[: len(later)], later, atol=1e-6)

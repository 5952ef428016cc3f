"""The command line: what it writes, and what it says about bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave

import av
import numpy as np
import pytest

from drm_transformers.clips import read_clip, read_sound, write_clip, write_wav
from sklearn_drm.lipspeech import LipSpeechConverter, commands, converter, model_file
from sklearn_drm.lipspeech.cli import main
from sklearn_drm.lipspeech.colour import colour_frames
from tests.clip_files import mux, resized, set_display_matrix
from tests.lip_clips import BOX, spoken_clips, tiny_regressor, write_clips


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path_factory):
    """Fits in a moment, and caches nowhere near the user's own folder."""
    monkeypatch.setattr(converter, "default_regressor", tiny_regressor)
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("SKLEARN_DRM_CACHE", str(cache))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), spoken_clips())


@pytest.fixture(scope="module")
def model(clips, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.joblib"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converter, "default_regressor", tiny_regressor)
        patch.setenv("SKLEARN_DRM_CACHE", str(path.parent / "cache"))
        assert run("fit", *clips[:4], "-o", path, "--box", BOX, "--context", 1) == 0
    return path


def run(*arguments):
    jobs = [] if "demo" not in map(str, arguments[:1]) else ["--jobs", "1"]
    if arguments[0] in ("fit", "evaluate"):
        jobs = ["--jobs", "1"]
    command, *rest = map(str, arguments)
    return main([command, *jobs, *rest])


def refused(capsys, *arguments, says=(), status=2, warnings=0):
    """Run a command that has to fail, and check how it says so."""
    capsys.readouterr()
    assert run(*arguments) == status
    lines = [
        x for x in capsys.readouterr().err.splitlines() if "reading clips" not in x
    ]
    problems = [x for x in lines if ": error: " in x]
    assert len(problems) == 1 and problems[0] == lines[-1], lines
    assert sum(": warning: " in line for line in lines) == warnings, lines
    for word in says:
        assert str(word) in problems[0], problems[0]
    assert "Traceback" not in "".join(lines)
    return problems[0]


def streams(path):
    with av.open(str(path)) as container:
        return {s.type: s.codec_context.name for s in container.streams}


def html(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n")
    return text


# What the commands write


def test_fit_writes_a_model_and_a_report(model, clips):
    fitted = LipSpeechConverter.load(model)
    assert fitted.clip_names_ == tuple(path.stem for path in clips[:4])
    assert fitted.context == 1 and fitted.remove_clip_mean
    assert "data:image/png" in html(model.with_suffix(".html"))


def test_fit_takes_the_options_it_documents(clips, tmp_path):
    out = tmp_path / "m"
    options = [
        "--context",
        0,
        "--keep-clip-mean",
        "--seed",
        7,
        "--cache",
        tmp_path / "c",
    ]
    assert run("fit", *clips[:2], "-o", out, "--box", BOX, *options) == 0
    fitted = LipSpeechConverter.load(out)
    assert fitted.context == 0 and not fitted.remove_clip_mean
    assert fitted.random_state == 7 == fitted.regressor_.random_state
    assert len(list((tmp_path / "c").glob("*.npz"))) == 2


def test_lips_to_speech_of_a_silent_video(model, tmp_path):
    (video,) = write_clips(tmp_path, spoken_clips()[5:], names=["mute"], sound=False)
    out = tmp_path / "out.wav"
    assert run("lips-to-speech", model, video, "-o", out) == 0
    with wave.open(str(out)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert file.getnframes() / file.getframerate() == pytest.approx(1.2)
    assert "no sound of its own" in html(tmp_path / "out.html")


def test_lips_to_speech_into_a_video_keeps_the_picture(model, tmp_path):
    clip = spoken_clips()[5]
    source = tmp_path / "thirty.mp4"
    write_clip(source, clip.frames, 30, clip.waveform, clip.sample_rate)
    out = tmp_path / "out.mp4"
    assert run("lips-to-speech", model, source, "-o", out) == 0
    before, after = read_clip(source), read_clip(out)
    assert streams(out) == {"video": "h264", "audio": "aac"}
    assert after.frame_rate == 30 and after.frames.shape == before.frames.shape
    assert np.abs(after.frames.astype(int) - before.frames).mean() < 3
    assert len(after.waveform) / after.sample_rate == pytest.approx(1.0, abs=0.03)
    assert "Original sound" in html(tmp_path / "out.html")


def test_the_picture_stays_in_colour(model, tmp_path):
    clip = spoken_clips()[5]
    tint = np.array([1.0, 0.8, 0.6])
    source, out = tmp_path / "colour.mp4", tmp_path / "out.mp4"
    pictures = (clip.frames[..., None] * tint).astype(np.uint8)
    write_clip(source, pictures, 25, clip.waveform, clip.sample_rate)
    assert run("lips-to-speech", model, source, "-o", out) == 0
    with av.open(str(out)) as container:
        shown = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(shown) == len(pictures)
    np.testing.assert_allclose(shown[7], pictures[7], atol=40)
    means = np.mean(shown, axis=(0, 1, 2))
    np.testing.assert_allclose(means, pictures.mean(axis=(0, 1, 2)), atol=3)


def test_colour_is_given_up_where_pictures_do_not_match(clips):
    grey = read_clip(clips[0]).frames
    assert colour_frames(clips[0], grey).shape == (*grey.shape, 3)
    assert colour_frames(clips[0], grey[5:]).shape == (*grey[5:].shape, 3)
    for other in (grey[::-1].copy(), np.concatenate([grey, grey]), grey[:, ::2]):
        assert colour_frames(clips[0], other) is other


def test_stretched_or_turned_pictures_give_the_same_lips(model, tmp_path, capsys):
    """The same mouth in pixels 4:3, and filmed with the phone on its side."""
    clip = spoken_clips()[5]
    sound = (clip.waveform, clip.sample_rate)
    plain = tmp_path / "plain.mp4"
    write_clip(plain, clip.frames, 25, *sound)
    stored = resized(clip.frames, (82, 110))
    mux(tmp_path / "wide.mkv", stored, 25, video_codec="libx264", pixels=(4, 3))
    write_clip(tmp_path / "turned.mp4", np.rot90(clip.frames, 1, (1, 2)), 25, *sound)
    set_display_matrix(tmp_path / "turned.mp4", (0, 1, -1, 0))
    expected = lips_heard(model, plain, tmp_path / "plain.wav")
    for name, note in (("wide.mkv", "pixels 4:3"), ("turned.mp4", "clockwise")):
        capsys.readouterr()
        lips = lips_heard(model, tmp_path / name, tmp_path / "out.wav")
        assert note in capsys.readouterr().err
        # What coding and scaling leave; a picture on its side is 26 away.
        assert np.abs(lips - expected).mean() < 4
        out = tmp_path / "out.mp4"
        assert run("lips-to-speech", model, tmp_path / name, "-o", out) == 0
        made = read_clip(out)
        assert made.notes == () and made.frames.shape == clip.frames.shape
        assert np.abs(made.frames.astype(int) - clip.frames).mean() < 4


def lips_heard(model, video, out):
    """The lip images from which speech is made for a video."""
    seen = []
    convert = LipSpeechConverter.lips_to_speech

    def spy(self, lips, **settings):
        seen.append(lips.astype(float))
        return convert(self, lips, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LipSpeechConverter, "lips_to_speech", spy)
        assert run("lips-to-speech", model, video, "-o", out) == 0
    return seen[0]


def test_a_box_of_the_model_is_scaled_to_a_larger_video(model, tmp_path, capsys):
    clip = spoken_clips()[5]
    plain, large = tmp_path / "plain.mp4", tmp_path / "large.mp4"
    write_clip(plain, clip.frames, 25, clip.waveform, clip.sample_rate)
    write_clip(large, clip.frames, 25, clip.waveform, clip.sample_rate,
               size=(220, 220))  # fmt: skip
    expected = lips_heard(model, plain, tmp_path / "plain.wav")
    assert "scaled" not in capsys.readouterr().err
    lips = lips_heard(model, large, tmp_path / "large.wav")
    note = f"{large}: the mouth's box is scaled from 110x110 to 220x220 pictures"
    assert note in capsys.readouterr().err
    assert np.abs(lips - expected).mean() < 4
    # A box of one's own is taken as it is.
    other = ["-o", tmp_path / "other.wav", "--box", "0,0,220"]
    assert run("lips-to-speech", model, large, *other) == 0
    assert "scaled" not in capsys.readouterr().err
    lips = tmp_path / "lips.mp4"
    plain_face = ["-o", lips, "--face", large]
    assert run("speech-to-lips", model, plain, *plain_face) == 0
    assert note in capsys.readouterr().err
    report = tmp_path / "r.html"
    assert run("evaluate", model, large, "-o", report) == 0
    assert note in capsys.readouterr().err


def test_a_box_of_the_model_is_refused_for_another_shape(model, tmp_path, capsys):
    clip = spoken_clips()[5]
    video, out = tmp_path / "wide.mp4", tmp_path / "out.wav"
    frames = np.pad(clip.frames, ((0, 0), (0, 0), (0, 50)))
    write_clip(video, frames, 25, clip.waveform, clip.sample_rate)
    refused(capsys, "lips-to-speech", model, video, "-o", out,
            says=[video, "160x110", "110x110", "--box"])  # fmt: skip
    assert not out.exists()
    refused(capsys, "evaluate", model, video, "-o", tmp_path / "r.html", warnings=1)
    assert run("lips-to-speech", model, video, "-o", out, "--box", BOX) == 0


def test_a_model_that_knows_no_picture_size_takes_its_box_as_it_is(
    model, tmp_path, capsys
):
    """Models of before it was kept."""
    old = LipSpeechConverter.load(model)
    assert old.settings_.picture_size == (110, 110)
    del old.settings_.__dict__["picture_size"]
    old.save(tmp_path / "old.joblib")
    clip = spoken_clips()[5]
    video = tmp_path / "wide.mp4"
    frames = np.pad(clip.frames, ((0, 0), (0, 0), (0, 50)))
    write_clip(video, frames, 25, clip.waveform, clip.sample_rate)
    assert (
        run("lips-to-speech", tmp_path / "old.joblib", video, "-o", tmp_path / "o.wav")
        == 0
    )
    assert "box" not in capsys.readouterr().err


def test_training_clips_of_several_sizes_are_told(clips, tmp_path, capsys):
    clip = spoken_clips()[4]
    write_clip(tmp_path / "large.mp4", clip.frames, 25, clip.waveform,
               clip.sample_rate, size=(220, 220))  # fmt: skip
    arguments = ["-o", tmp_path / "m", "--box", BOX]
    assert run("fit", *clips[:2], tmp_path / "large.mp4", *arguments) == 0
    said = "1 of 3 training clips have pictures of another size than 110x110"
    assert said in capsys.readouterr().err
    assert LipSpeechConverter.load(tmp_path / "m").settings_.picture_size == (110, 110)


def test_speech_to_lips_of_a_wav(model, clips, tmp_path):
    clip = spoken_clips()[5]
    sound, out = tmp_path / "sound.wav", tmp_path / "lips.mp4"
    write_wav(sound, clip.waveform, clip.sample_rate)
    assert run("speech-to-lips", model, sound, "-o", out) == 0
    made = read_clip(out)
    assert streams(out) == {"video": "h264", "audio": "aac"}
    assert made.frames.shape == (30, 220, 220) and made.frame_rate == 25
    heard = np.corrcoef(made.waveform[:19_200], clip.waveform[:19_200])[0, 1]
    assert heard > 0.95
    html(tmp_path / "lips.html")
    other = tmp_path / "other.mp4"
    assert run("speech-to-lips", model, sound, "-o", other, "--face", clips[4]) == 0
    face = read_clip(clips[4]).frames.mean()
    assert abs(read_clip(other).frames.mean() - face) < 3


def test_speech_to_lips_of_a_video_shows_its_own_lips_beside(model, clips, tmp_path):
    out = tmp_path / "lips.mp4"
    assert run("speech-to-lips", model, clips[5], "-o", out) == 0
    assert "Original lips" in html(tmp_path / "lips.html")


def test_evaluate_prints_a_table_and_writes_figures(model, clips, tmp_path, capsys):
    figures, report = tmp_path / "figures.json", tmp_path / "report.html"
    capsys.readouterr()
    status = run("evaluate", model, *clips[4:], "--json", figures, "-o", report)
    assert status == 0
    printed = capsys.readouterr().out
    for word in ("mean", "ridge", "DRM", "MCD", "within", "2 clips, 60 frames"):
        assert word in printed
    scores = json.loads(figures.read_text())["scores"]
    assert [score["system"] for score in scores] == ["mean", "ridge", "DRM"]
    assert f"{scores[1]['r2_speech']:.3f}" in printed
    assert f"{scores[1]['r2_speech']:.3f}" in html(report)


def test_evaluate_says_when_it_is_given_training_clips(model, clips, tmp_path, capsys):
    assert run("evaluate", model, *clips[3:], "-o", tmp_path / "r.html") == 0
    assert "training clip" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_with_baselines(model, clips, tmp_path, capsys):
    split = tmp_path / "split.csv"
    rows = [f"{p.stem},{'train' if k < 4 else 'test'}" for k, p in enumerate(clips)]
    split.write_text("\n".join(["clip,subset", *rows]))
    arguments = ["--split", split, "--baselines", "-o", tmp_path / "r.html"]
    assert run("evaluate", model, *clips, *arguments) == 0
    assert "stopped on clips" in capsys.readouterr().out


@pytest.mark.slow
def test_the_demo(tmp_path, capsys, monkeypatch):
    from sklearn_drm.lipspeech import demo

    whole = demo.run_demo
    monkeypatch.setattr(
        demo,
        "run_demo",
        lambda folder, **options: whole(
            folder, n_train=4, n_test=2, seconds=1.0, **options
        ),
    )
    assert run("demo", "-o", tmp_path / "a demo") == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "a demo" / "report.html") in printed
    text = html(tmp_path / "a demo" / "report.html")
    assert text.count("<video") == 6
    endings = sorted(p.suffix for p in (tmp_path / "a demo").rglob("*.*"))
    assert endings == [".html", ".joblib"] + [".mp4"] * 6 + [".wav"] * 2


# Splits


def split_file(path, *lines, encoding="utf-8"):
    path.write_text("\n".join(lines), encoding=encoding)
    return path


def test_fit_uses_the_training_clips_of_a_split(clips, tmp_path):
    split = split_file(
        tmp_path / "split.csv",
        " clip , subset ,speaker",
        f"{clips[0].stem},train,a",
        f"{clips[1].name},Train,a",
        f"{clips[2].stem},test,a",
        "somebody else,train,b",
        encoding="utf-8-sig",
    )
    out = tmp_path / "m"
    arguments = ["--split", split, "-o", out, "--box", BOX]
    assert run("fit", *clips[:3], clips[0], *arguments) == 0
    names = LipSpeechConverter.load(out).clip_names_
    assert names == (clips[0].stem, clips[1].stem)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["clip,subset", "other,train"], ["no row for", "synthetic-000"]),
        (["name,part", "a,b"], ["columns clip and subset"]),
        ([""], ["columns clip and subset"]),
        (["clip,subset", "synthetic-000,train", "synthetic-000,test"], ["two subsets"]),
        (["clip,subset", "synthetic-000"], ["line 2"]),
        (["clip,subset", "synthetic-000,test"], ["none of the 1", "train"]),
    ],
)
def test_splits_that_cannot_be_used(clips, tmp_path, capsys, lines, words):
    split = split_file(tmp_path / "split.csv", *lines)
    out = tmp_path / "m"
    arguments = ["--split", split, "-o", out, "--box", BOX]
    refused(capsys, "fit", clips[0], *arguments, says=[split, *words])
    assert not out.exists()


def test_a_split_that_is_not_there_or_no_text(clips, tmp_path, capsys):
    out = ["-o", tmp_path / "m", "--box", BOX]
    refused(capsys, "fit", clips[0], *out, "--split", tmp_path / "no.csv",
            says=["no.csv"])  # fmt: skip
    refused(capsys, "fit", clips[0], *out, "--split", clips[0], says=["UTF-8"])
    long = split_file(tmp_path / "long.csv", "clip,subset", "a" * 200_000 + ",train")
    refused(capsys, "fit", clips[0], *out, "--split", long, says=["long.csv", "table"])
    refused(capsys, "evaluate", tmp_path / "m", clips[0], "--baselines",
            says=["--split"])  # fmt: skip


# Bad clips among several


@pytest.fixture
def bad(tmp_path):
    """Files that no command can use, by what is wrong with them."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.mp4").touch()
    write_clips(folder, spoken_clips()[:1], names=["mute"], sound=False)
    write_wav(folder / "sound.wav", np.zeros(8000), 8000)
    whole = write_clips(folder, spoken_clips()[:1], names=["cut"])[0]
    whole.write_bytes(whole.read_bytes()[:900])
    small = spoken_clips()[0]
    write_clip(folder / "small.mp4", small.frames[:, ::2], 25, small.waveform,
               small.sample_rate)  # fmt: skip
    return {
        "missing": folder / "missing.mp4",
        "no video": folder / "text.mp4",
        "zero length": folder / "empty.mp4",
        "no sound track": folder / "mute.mp4",
        "no pictures": folder / "sound.wav",
        "cut off": folder / "cut.mp4",
        "box outside": folder / "small.mp4",
        "folder": folder,
    }


KINDS = ["missing", "no video", "zero length", "no sound track", "no pictures",
         "cut off", "box outside", "folder"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_clip_is_skipped_with_a_warning(clips, bad, kind, tmp_path, capsys):
    out = tmp_path / "m"
    assert run("fit", *clips[:2], bad[kind], "-o", out, "--box", BOX) == 0
    lines = [x for x in capsys.readouterr().err.splitlines() if ": warning: " in x]
    assert len(lines) == 1 and str(bad[kind]) in lines[0] and "skipped" in lines[0]
    assert len(LipSpeechConverter.load(out).clip_names_) == 2
    refused(capsys, "fit", *clips[:2], bad[kind], "-o", tmp_path / "strict", "--box",
            BOX, "--strict", says=[bad[kind], "--strict"])  # fmt: skip
    assert not (tmp_path / "strict").exists()


def test_size_of_the_model_and_little_data(clips, tmp_path, capsys):
    out = tmp_path / "m.joblib"
    size = ["--units", "7", "--layers", "3"]
    assert run("fit", *clips[:2], "-o", out, "--box", BOX, *size) == 0
    assert "little to learn from" in capsys.readouterr().err
    fitted = LipSpeechConverter.load(out).regressor_
    assert (fitted.n_hidden_units, fitted.n_hidden_layers) == (7, 3)
    refused(capsys, "fit", *clips[:2], "-o", out, "--units", "0", says=["--units"])


def test_a_small_mouth_is_told(clips, bad, tmp_path, capsys):
    model = tmp_path / "m.joblib"
    assert run("fit", *clips[:2], "-o", model, "--box", BOX) == 0
    tiny = tmp_path / "tiny.mp4"
    with_sound = spoken_clips()[0]
    write_clip(tiny, with_sound.frames, 25, size=(30, 30))
    capsys.readouterr()
    assert run("lips-to-speech", model, tiny, "-o", tmp_path / "o.wav") == 0
    assert "the mouth is only 30 pixels wide" in capsys.readouterr().err


def test_a_report_on_training_clips_does_not_call_them_unseen(clips, tmp_path):
    model = tmp_path / "m.joblib"
    assert run("fit", *clips[:3], "-o", model, "--box", BOX) == 0
    page = tmp_path / "page.html"
    assert run("evaluate", model, *clips[2:], "-o", page) == 0
    text = html(page)
    assert "1 of the" in text and "not seen" not in text
    assert run("evaluate", model, *clips[3:], "-o", page) == 0
    assert "not seen" in html(page)


def test_under_half_usable_or_none(clips, bad, tmp_path, capsys):
    out = ["-o", tmp_path / "m", "--box", BOX]
    two = [bad["missing"], bad["no video"]]
    refused(capsys, "fit", clips[0], *two, *out, says=["1 of 3"], warnings=2)
    refused(capsys, "fit", *two, *out, says=["none of 2"], warnings=2)
    assert not (tmp_path / "m").exists() and not (tmp_path / "m.html").exists()
    # Exactly half is not under half.
    assert run("fit", *clips[:2], *two, *out) == 0


def test_no_face_names_the_way_out(clips, tmp_path, capsys):
    run("fit", *clips[:2], "-o", tmp_path / "m")
    lines = [x for x in capsys.readouterr().err.splitlines() if ": warning: " in x]
    assert len(lines) == 2
    assert all(
        "no face" in x and "frames" in x and "--box x,y,size" in x for x in lines
    )
    assert not (tmp_path / "m").exists()


def test_evaluate_skips_bad_clips_too(model, clips, bad, tmp_path, capsys):
    report = tmp_path / "r.html"
    assert run("evaluate", model, *clips[4:], bad["cut off"], "-o", report) == 0
    captured = capsys.readouterr()
    assert "2 clips" in captured.out and str(bad["cut off"]) in captured.err


@pytest.mark.grid
def test_damaged_real_clips(grid, tmp_path, capsys):
    whole = sorted((grid / "clips").glob("*.mpg"))[:2]
    damaged = sorted((grid / "damaged").glob("*.mpg"))[:2]
    assert run("fit", *whole, *damaged, "-o", tmp_path / "m") == 0
    lines = [x for x in capsys.readouterr().err.splitlines() if ": warning: " in x]
    assert all(any(path.stem in line for line in lines) for path in damaged)


# Single inputs


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "no sound track"])
def test_lips_to_speech_refuses_a_bad_video(model, bad, kind, tmp_path, capsys):
    out = tmp_path / "out.wav"
    refused(capsys, "lips-to-speech", model, bad[kind], "-o", out, says=[bad[kind]])
    assert not out.exists() and not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(
    "kind", ["missing", "no video", "zero length", "no sound track", "folder"]
)
def test_speech_to_lips_refuses_a_bad_sound(model, bad, kind, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    refused(capsys, "speech-to-lips", model, bad[kind], "-o", out, says=[bad[kind]])
    assert not out.exists() and not (tmp_path / "out.html").exists()


def test_speech_to_lips_refuses_a_bad_face(model, bad, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    for kind in ("missing", "no pictures", "box outside"):
        refused(capsys, "speech-to-lips", model, bad["no pictures"], "-o", out,
                "--face", bad[kind], says=[bad[kind]])  # fmt: skip
    assert not out.exists()


def test_sound_of_too_low_a_rate_is_named(model, tmp_path, capsys):
    slow, out = tmp_path / "slow.wav", tmp_path / "out.mp4"
    write_wav(slow, np.zeros(300), 100)
    refused(capsys, "speech-to-lips", model, slow, "-o", out, says=[slow, "rate"])


def test_silent_sound_is_converted(model, bad, tmp_path):
    out = tmp_path / "out.mp4"
    assert run("speech-to-lips", model, bad["no pictures"], "-o", out) == 0
    assert len(read_clip(out).frames) == 25


# Models


def test_models_that_cannot_be_used(model, clips, tmp_path, capsys, monkeypatch):
    cut, other = tmp_path / "cut.joblib", tmp_path / "other.joblib"
    cut.write_bytes(model.read_bytes()[:3000])
    monkeypatch.setattr(converter, "_FORMAT", 99)
    tiny = LipSpeechConverter.__new__(LipSpeechConverter)
    model_file.save_model(tiny, other)
    monkeypatch.undo()
    bad_models = {cut: "truncated", other: "format 99", clips[0]: "not a model",
                  tmp_path / "no": "no such"}  # fmt: skip
    for path, words in bad_models.items():
        out = tmp_path / "out.wav"
        refused(capsys, "lips-to-speech", path, clips[0], "-o", out,
                says=[path, words])  # fmt: skip
        refused(capsys, "evaluate", path, clips[0], "-o", tmp_path / "r.html",
                says=[path, words])  # fmt: skip
    assert {p.name for p in tmp_path.iterdir()} == {"cut.joblib", "other.joblib"}


# Outputs


def test_outputs_that_cannot_be_written(model, clips, tmp_path, capsys, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    for folder in (tmp_path / "nowhere", file):
        refused(capsys, "fit", clips[0], "-o", folder / "m", says=[folder / "m"])
        refused(capsys, "lips-to-speech", model, clips[0], "-o", folder / "o.wav",
                says=[folder / "o.wav"])  # fmt: skip
    refused(capsys, "fit", clips[0], "-o", tmp_path, says=["is a folder"])
    refused(capsys, "fit", clips[0], "-o", ".", says=["is a folder"])
    refused(capsys, "fit", clips[0], "-o", "new/", says=["is a folder"])
    refused(capsys, "fit", clips[0], "-o", "/dev/null", says=["is no file"])
    page = tmp_path / "page.html"
    refused(capsys, "evaluate", model, clips[0], "-o", page, "--json", page,
            says=["written twice"])  # fmt: skip
    refused(capsys, "demo", "-o", file, says=[file])
    refused(capsys, "fit", clips[0], "-o", tmp_path / "m", "--box", BOX, "--cache",
            file / "cache", says=[file / "cache"])  # fmt: skip

    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(commands.tempfile, "TemporaryFile", denied)
    monkeypatch.setattr(commands, "load_features", None)  # nothing may be read
    refused(capsys, "fit", clips[0], "-o", tmp_path / "m",
            says=["Permission denied", "-o"])  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(clips, tmp_path, capsys):
    tmp_path.chmod(0o500)
    refused(capsys, "fit", clips[0], "-o", tmp_path / "m", says=["Permission denied"])


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")
def test_a_clip_without_an_end_is_refused_unread(model, clips, tmp_path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for endless in (pipe, "/dev/zero"):
        capsys.readouterr()
        fit = ["fit", clips[0], endless, "-o", tmp_path / "m", "--box", BOX]
        assert run(*fit) == 0
        said = capsys.readouterr()
        assert f"skipped {endless}: not a regular file" in said.err
        assert "fitting on 1 clip, " in said.out
        refused(capsys, "lips-to-speech", model, endless, "-o", tmp_path / "o.wav",
                says=[endless])  # fmt: skip


def test_an_output_is_never_an_input(model, clips, tmp_path, capsys):
    copy = tmp_path / "clip.mp4"
    shutil.copy(clips[0], copy)
    before = copy.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(copy)
    for out in (copy, link):
        refused(capsys, "lips-to-speech", model, copy, "-o", out, says=["input"])
        refused(capsys, "speech-to-lips", model, copy, "-o", out, says=["input"])
    assert copy.read_bytes() == before


def test_endings_that_are_not_offered(model, clips, tmp_path, capsys):
    refused(capsys, "lips-to-speech", model, clips[0], "-o", tmp_path / "o.ogg",
            says=[".wav or .mp4"])  # fmt: skip
    refused(capsys, "speech-to-lips", model, clips[0], "-o", tmp_path / "o.wav",
            says=[".mp4"])  # fmt: skip
    refused(capsys, "fit", clips[0], "-o", tmp_path / "m.html", says=[".html"])


def test_an_interruption_leaves_the_old_files(clips, tmp_path, capsys, monkeypatch):
    out = tmp_path / "m.joblib"
    out.write_bytes(b"old model")
    out.with_suffix(".html").write_text("old report")

    def half(value, file, **_):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(model_file.joblib, "dump", half)
    assert run("fit", *clips[:2], "-o", out, "--box", BOX) == 130
    assert capsys.readouterr().err.splitlines()[-1].endswith("interrupted")
    assert out.read_bytes() == b"old model"
    assert out.with_suffix(".html").read_text() == "old report"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whom", ["process", "group"])
def test_a_real_interruption(clips, tmp_path, number, whom):
    """Of the command alone, or, as Ctrl-C does it, of all that it has started."""
    out = tmp_path / "m.joblib"
    out.write_bytes(b"old model")
    command = [sys.executable, "-m", "sklearn_drm.lipspeech", "fit", *map(str, clips)]
    options = ["-o", str(out), "--box", BOX, "--cache", str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [*command, *options, "--jobs", "2"],
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A suite started in the background has SIGINT ignored, which is inherited.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "cache").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    if whom == "process":
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)
    _, messages = process.communicate(timeout=60)
    lines = messages.decode().replace("\r", "\n").strip().splitlines()
    assert process.returncode == 130, messages.decode()
    assert lines[-1] == "sklearn-drm fit: interrupted", messages.decode()
    assert "Traceback" not in messages.decode()
    assert out.read_bytes() == b"old model"
    assert {p.name for p in tmp_path.iterdir()} == {"m.joblib", "cache"}
    assert not [p for p in (tmp_path / "cache").iterdir() if p.suffix != ".npz"]


def test_a_full_disk_is_one_line(model, clips, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "out.wav")

    monkeypatch.setattr(commands, "write_wav", full)
    refused(capsys, "lips-to-speech", model, clips[0], "-o", tmp_path / "out.wav",
            says=["No space left"])  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="closed streams of POSIX")
@pytest.mark.parametrize("streams", ["ascii", "stdout closed", "stderr closed"])
def test_streams_that_cannot_take_the_text(model, clips, tmp_path, streams):
    """The table says R², names hold any letter, and a stream may not be there."""
    named = shutil.copy(clips[5], tmp_path / "ünï.mp4")
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "sklearn_drm.lipspeech", "evaluate"]
    command += [str(model), str(named), str(tmp_path / "nö"), "-o", str(page)]
    ends = {"stdout closed": " >&-", "stderr closed": " 2>&-"}.get(streams, "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        ["sh", "-c", f'"$@"{ends}', "sh", *command, "--jobs", "1"],
        env={**environment, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("R\\xb2" in done.stdout.decode()) != (streams == "stdout closed")
    assert ("n\\xf6: " in done.stderr.decode()) != (streams == "stderr closed")
    assert "ünï" in html(page)


def test_a_cache_needs_no_home(clips, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SKLEARN_DRM_CACHE", "~nobody-of-this-name/cache")
    monkeypatch.chdir(tmp_path)
    fit = ["fit", clips[0], "-o", tmp_path / "m", "--box", BOX]
    assert run(*fit) == 0

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(commands, "default_cache", nowhere)
    assert run(*fit) == 0
    assert "no folder for a cache" in capsys.readouterr().err


# Arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["sing"], "sing"),
        (["fit"], "CLIP"),
        (["fit", "a.mp4"], "-o"),
        (["fit", "a.mp4", "-o", "m", "--context", "-1"], "'-1'"),
        (["fit", "a.mp4", "-o", "m", "--jobs", "0"], "'0'"),
        (["fit", "a.mp4", "-o", "m", "--box", "1,2"], "x,y,size"),
        (["fit", "a.mp4", "-o", "m", "--box", "1,2,nan"], "x,y,size"),
        (["fit", "a.mp4", "-o", "m", "--seed", "two"], "'two'"),
        (["fit", "", "-o", "m"], "empty file name"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1 and words in captured.err
    assert not captured.out


def test_help_and_version(capsys):
    assert main(["--help"]) == 0 and "lips-to-speech" in capsys.readouterr().out
    assert main(["fit", "--help"]) == 0 and "--split" in capsys.readouterr().out
    assert main(["--version"]) == 0 and "sklearn-drm" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["-x", "two words", "ünï ☃", "a'b\"c", "<script>"])
def test_names_that_look_like_something_else(
    model, clips, name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clips[5], f"{name}.mp4")
    shutil.copy(clips[0], "other.mp4")
    dashes = ["--"] if name.startswith("-") else []
    fit = ["fit", "--box", BOX, "-o", f"./{name} model", *dashes, f"{name}.mp4"]
    assert run(*fit, "other.mp4") == 0
    out = f"./{name} out.wav"
    assert run("lips-to-speech", "-o", out, *dashes, model, f"{name}.mp4") == 0
    assert read_sound(tmp_path / f"{name} out.wav")[1] == 12_000
    assert "<script>" not in html(tmp_path / f"{name} out.html")
    (line,) = capsys.readouterr().err.splitlines()
    assert "little to learn from" in line


def test_debug_shows_a_traceback(clips, tmp_path, capsys):
    assert run("fit", "nowhere.mp4", "-o", tmp_path / "m", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_the_program_is_one_line_too(
    model, clips, tmp_path, capsys, monkeypatch
):
    def fault(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(LipSpeechConverter, "lips_to_speech", fault)
    refused(capsys, "lips-to-speech", model, clips[0], "-o", tmp_path / "o.wav",
            status=1, says=["two lines", "--debug"])  # fmt: skip


@pytest.fixture
def heard_signals(monkeypatch):
    """Both signals as a shell leaves them; a suite in the background ignores one."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    numbers = signal.SIGINT, signal.SIGTERM
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = [signal.signal(number, usual[number]) for number in numbers]
    yield
    after = [signal.signal(n, h) for n, h in zip(numbers, before, strict=True)]
    assert after == [usual[number] for number in numbers]


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM])
def test_an_interruption_inside_another_error_is_one(
    monkeypatch, capsys, number, heard_signals
):
    """As Python 3.11 reports one that comes while a class is being made, and joblib
    one that comes while it starts its processes."""

    def fail(arguments):
        if number is None:
            raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise RuntimeError("cannot join thread before it is started") from None

    monkeypatch.setattr("sklearn_drm.lipspeech.cli._run", fail)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].endswith("interrupted")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_inside_exec_is_status_130(tmp_path):
    """Python would let a module die of SIGINT for it, though it was caught."""
    (tmp_path / "command.py").write_text(
        "from sklearn_drm.lipspeech import cli\n"
        "cli._run = lambda _: exec('raise KeyboardInterrupt')\n"
        "raise SystemExit(cli.main(['demo']))\n"
    )
    paths = os.pathsep.join(filter(None, [str(tmp_path), *sys.path]))
    done = subprocess.run(
        [sys.executable, "-m", "command"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (130, "sklearn-drm demo: interrupted\n")


# Interrupts while Matplotlib's font module makes its enumerations, or else as soon as
# it is loaded.
WHILE_LOADING = """
import os, signal, sys

def interrupt(frame, event, _):
    inside = event == "call" and frame.f_code.co_filename.endswith("enum.py")
    while inside and frame and frame.f_globals.get("__name__") != "matplotlib":
        frame = frame.f_back
    if not frame or frame.f_code.co_name != "_check_versions":
        return
    if inside or event == "return":
        sys.setprofile(None)
        print("loading", flush=True)
        os.kill(os.getpid(), signal.SIGINT)

from sklearn_drm.lipspeech import cli
sys.setprofile(interrupt)
status = cli.main()
print("sklearn_drm.lipspeech.commands" in sys.modules)
raise SystemExit(status)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_waits_until_libraries_are_loaded(tmp_path):
    """Stopped halfway, that module aborts Python at its end."""
    (tmp_path / "command.py").write_text(WHILE_LOADING)
    paths = os.pathsep.join(filter(None, [str(tmp_path), *sys.path]))
    done = subprocess.run(
        [sys.executable, "-m", "command", "fit", "none.mp4", "-o", "none.joblib"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        130,
        "loading\nTrue\n",
        "sklearn-drm fit: interrupted\n",
    )


def test_an_interruption_while_arguments_are_read(monkeypatch, capsys, heard_signals):
    monkeypatch.setattr(
        "sklearn_drm.lipspeech.cli.build_parser",
        lambda: signal.raise_signal(signal.SIGINT),
    )
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "sklearn-drm: interrupted\n"


@pytest.mark.parametrize("argv", [["demo"], None])
@pytest.mark.parametrize("interrupted", [False, True])
def test_threads_are_silent_after_an_interruption_alone(
    monkeypatch, interrupted, argv, heard_signals
):
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", hook := told.append)
    monkeypatch.setattr(sys, "argv", ["sklearn-drm", "demo"])

    def run_with_thread(arguments):
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

    monkeypatch.setattr("sklearn_drm.lipspeech.cli._run", run_with_thread)
    main(argv)
    assert len(told) == (not interrupted)
    # A program that calls the command hears its own threads again.
    assert (threading.excepthook is hook) == (not interrupted or argv is not None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_python_drops_comes_again(
    monkeypatch, capsys, heard_signals, number
):
    """One raised in a destructor goes nowhere."""
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Dropping:
        def __del__(self):
            signal.raise_signal(number)

    def run_on(arguments):
        Dropping()
        time.sleep(20)
        told.append("went on to the end")

    monkeypatch.setattr("sklearn_drm.lipspeech.cli._run", run_on)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].endswith("interrupted")
    assert not told

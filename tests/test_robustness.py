"""Damaged media, shared caches, interruptions, processes; and the table of all this."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score

from drm_transformers.clips import ClipError, read_clip, read_sound, write_wav
from sklearn_drm import GGDRMRegressor
from sklearn_drm.lipspeech import LipSpeechConverter
from sklearn_drm.lipspeech.features import speech_features
from tests.lip_clips import BOX, SETTINGS, spoken_clips, write_clips

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "transformers")]),
}


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_of_the_table_names_tests_that_exist():
    text = (ROOT / "docs" / "user_guide" / "robustness.md").read_text(encoding="utf-8")
    rows = [x for x in text.splitlines() if x.startswith("| ")]
    rows = [x for x in rows if not x.startswith("| input |")]
    assert len(rows) > 40
    for row in rows:
        named = re.findall(r"`(test_\w+)::(test_\w+)`", row)
        assert named, row
        for file, name in named:
            tree = ast.parse((ROOT / "tests" / f"{file}.py").read_text("utf-8"))
            functions = {x.name for x in tree.body if isinstance(x, ast.FunctionDef)}
            assert name in functions, f"{file}::{name}"


def test_damaged_synthetic_clips(tmp_path):
    fuzz = script("fuzz_clips")
    clip = fuzz.synthetic(tmp_path / "whole.mp4")
    assert not fuzz.failures(clip, 25, 1, tmp_path)


@pytest.mark.grid
def test_damaged_copies_of_a_real_clip(grid, tmp_path):
    fuzz = script("fuzz_clips")
    clip = sorted((grid / "clips").glob("*.mpg"))[0]
    assert not fuzz.failures(clip, 15, 1, tmp_path)


def test_the_fuzzing_sees_a_crash_and_a_hang(tmp_path, monkeypatch):
    fuzz = script("fuzz_clips")
    clip = fuzz.synthetic(tmp_path / "whole.mp4")
    fault = "if 'case-0-1' in path: raise IndexError\n    if 'case-0-3' in path: "
    reader = fuzz._READER.replace(
        "for read in", f"{fault}signal.pause()\n    for read in"
    )
    monkeypatch.setattr(fuzz, "_READER", reader)
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    found = fuzz.failures(clip, 4, 0, tmp_path)
    assert [path.stem for path, _ in found] == ["case-0-1", "case-0-3"]
    assert "IndexError" in found[0][1] and str(-signal.SIGALRM) in found[1][1]


def test_a_header_that_names_no_codec(tmp_path):
    """Found by fuzzing: the decoder of such a stream is None."""
    (path,) = write_clips(tmp_path, spoken_clips()[:1])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"avc1", b"zzzz"))
    with pytest.raises(ClipError, match="no known format") as caught:
        read_clip(path)
    assert str(path) in str(caught.value)


def test_a_picture_is_no_video(tmp_path):
    from matplotlib.image import imsave

    imsave(tmp_path / "face.png", np.zeros((20, 20)))
    with pytest.raises(ClipError, match="not a video"):
        read_clip(tmp_path / "face.png")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_at_any_moment(tmp_path):
    """Old model or new model, whole: never half of one, and no litter."""
    clips = write_clips(tmp_path, spoken_clips()[:2])
    out, page = tmp_path / "m.joblib", tmp_path / "m.html"
    # The program's own entry point with a regressor that fits in a moment.
    code = (
        "import sys; from sklearn_drm.lipspeech import cli, converter\n"
        "from tests.lip_clips import tiny_regressor\n"
        "converter.default_regressor = tiny_regressor\n"
        "print('ready', flush=True); sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "fit", *map(str, clips), "-o", str(out)]
    command += ["--box", BOX, "--jobs", "1", "--cache", str(tmp_path / "cache")]

    def start():
        process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        process.stdout.readline()
        return process

    process = start()
    began = time.monotonic()
    assert process.wait(timeout=120) == 0, process.stderr.read()
    whole = time.monotonic() - began
    assert whole < 60
    rng = np.random.default_rng(0)
    for share in rng.uniform(0.02, 1.0, 3):
        for path in (out, page, *(tmp_path / "cache").glob("*")):
            path.unlink(missing_ok=True)
        out.write_bytes(b"old model")
        process = start()
        time.sleep(share * whole)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=60)
        renewed = out.read_bytes() != b"old model"
        # Python ends by the signal itself where it comes after the last line.
        ends = (0, 130, -signal.SIGINT) if renewed else (130,)
        assert process.returncode in ends, (share, messages)
        assert b"Traceback" not in messages
        if renewed:
            assert len(LipSpeechConverter.load(out).clip_names_) == 2
        if page.exists():
            assert page.read_text("utf-8").endswith("</html>\n")
        names = {p.name for p in tmp_path.iterdir()} - {"m.joblib", "m.html", "cache"}
        assert names == {p.name for p in clips}
        assert all(p.suffix == ".npz" for p in (tmp_path / "cache").glob("*"))


def test_processes_give_the_scores_of_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    Y = X[:, :2] + rng.normal(size=(120, 2))
    model = GGDRMRegressor(n_hidden_units=5, fine_tune_epochs=3, random_state=0)
    alone = cross_val_score(model, X, Y, cv=3, n_jobs=1)
    np.testing.assert_allclose(cross_val_score(model, X, Y, cv=3, n_jobs=2), alone)


@pytest.mark.parametrize("rate", [4_000, 11_025, 96_000])
def test_sound_of_any_rate_is_converted(rate, tmp_path):
    clip = spoken_clips()[0]
    step = np.linspace(0, len(clip.waveform) - 1, int(rate * clip.duration))
    sound = np.interp(step, np.arange(len(clip.waveform)), clip.waveform)
    write_wav(tmp_path / "sound.wav", sound, rate)
    waveform, found_rate = read_sound(tmp_path / "sound.wav")
    assert found_rate == rate
    found, _ = speech_features(waveform, found_rate, 30, SETTINGS)
    assert np.isfinite(found).all()
    expected, _ = speech_features(clip.waveform, clip.sample_rate, 30, SETTINGS)
    # What the lowest rate carries, up to 2 kHz, without the edge of its filter.
    bins = slice(2, round(1_700 / 6_000 * 256))
    difference = np.log(found[:, bins] / expected[:, bins])
    assert np.median(np.abs(difference)) < 0.15

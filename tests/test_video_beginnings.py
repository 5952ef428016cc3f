"""Videos whose first picture is flat, or hidden, and sounds longer than the picture."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from drm_transformers import read_clip, write_clip
from sklearn_drm.lipspeech import converter
from sklearn_drm.lipspeech.cli import main
from tests.lip_clips import BOX, spoken_clips, tiny_regressor, write_clips


def pictures(n_frames=60):
    """Moving stripes, so that every frame is known by its phase."""
    column = np.arange(64)[None, None, :]
    phase = np.arange(n_frames)[:, None, None]
    waves = 128 + 90 * np.sin(0.4 * column + 0.3 * phase)
    return np.broadcast_to(waves, (n_frames, 48, 64)).astype(np.uint8)


@pytest.mark.parametrize("colour", [0, 255])
def test_a_film_may_begin_in_black_or_white(colour, tmp_path):
    # The encoder sets its second key frame after 250 frames.
    frames = pictures(260).copy()
    frames[:5] = colour
    path = tmp_path / "film.mp4"
    write_clip(path, frames, 25)
    clip = read_clip(path, sound="ignore")
    assert len(clip.frames) == len(frames)
    assert not any("damaged" in note for note in clip.notes)


def trimmed(source, path, seconds):
    """The stream from a time on, without coding it again: an edit list hides the rest.

    As ``ffmpeg -ss … -c copy`` and telephones do it.
    """
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is None:
                continue
            shift = round(seconds / packet.time_base)
            if packet.stream.type == "audio" and packet.pts < shift:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = streams[packet.stream.index]
            out.mux(packet)


@pytest.mark.parametrize("n_hidden", [5, 40])
@pytest.mark.parametrize("flat", [0, 5])
def test_a_trimmed_film_is_whole(n_hidden, flat, tmp_path):
    frames = pictures().copy()
    frames[:flat] = 16
    source, path = tmp_path / "whole.mp4", tmp_path / "trimmed.mp4"
    write_clip(source, frames, 25)
    trimmed(source, path, n_hidden / 25)
    clip = read_clip(path, sound="ignore")
    assert len(clip.frames) == len(frames) - n_hidden
    assert clip.notes == ()
    error = np.abs(clip.frames.astype(int) - frames[n_hidden:]).mean()
    assert error < 8


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    clips = map(str, write_clips(folder, spoken_clips(), names=list("abcdef")))
    path = folder / "model.joblib"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converter, "default_regressor", tiny_regressor)
        patch.setenv("SKLEARN_DRM_CACHE", str(folder / "cache"))
        arguments = ["fit", "--jobs", "1", *clips, "-o", str(path), "--box", BOX]
        assert main(arguments) == 0
    return path


def seconds_of(path):
    clip = read_clip(path)
    return len(clip.frames) / clip.frame_rate, len(clip.waveform) / clip.sample_rate


def test_all_of_a_sound_is_converted_though_its_picture_ends(model, tmp_path, capsys):
    clip = spoken_clips()[0]
    source, out = tmp_path / "song.mp4", tmp_path / "out.mp4"
    write_clip(source, clip.frames[:5], 25, clip.waveform, clip.sample_rate)
    assert main(["speech-to-lips", str(model), str(source), "-o", str(out)]) == 0
    expected = len(clip.waveform) / clip.sample_rate
    assert np.allclose(seconds_of(out), expected, atol=0.1)
    assert "all of the sound" in capsys.readouterr().err


def test_lips_need_no_sound_that_can_be_read(model, tmp_path, capsys, monkeypatch):
    clip = spoken_clips()[0]
    source, out = tmp_path / "bad.mkv", tmp_path / "out.wav"
    with av.open(str(source), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.height, video.width = clip.frames.shape[1:]
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_f32le", rate=clip.sample_rate)
        sound.layout = "mono"
        for image in clip.frames:
            frame = av.VideoFrame.from_ndarray(image, format="gray")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = np.full((1, clip.sample_rate), np.nan, np.float32)
        block = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        block.sample_rate = clip.sample_rate
        container.mux(sound.encode(block))
    assert main(["lips-to-speech", str(model), str(source), "-o", str(out)]) == 0
    assert "without the sound" in capsys.readouterr().err
    assert out.exists()


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_a_split_is_never_written_over(command, model, tmp_path, capsys):
    split = tmp_path / "split.csv"
    split.write_text("clip,subset\na,train\n")
    clips = [str(Path(model).parent / "a.mp4")]
    arguments = {
        "fit": ["fit", *clips, "--split", str(split), "-o", str(split)],
        "evaluate": ["evaluate", str(model), *clips, "--split", str(split),
                     "--json", str(split)],
    }[command]  # fmt: skip
    assert main([*arguments, "--jobs", "1"]) == 2
    assert "is an input as well" in capsys.readouterr().err
    assert split.read_text() == "clip,subset\na,train\n"


def test_a_link_into_nowhere_is_refused_before_work(tmp_path, capsys):
    link = tmp_path / "out.wav"
    os.symlink(tmp_path / "missing" / "out.wav", link)
    # Neither is there: the output is looked at first.
    model, clip = (str(tmp_path / name) for name in ("model.joblib", "a.mp4"))
    assert main(["lips-to-speech", model, clip, "-o", str(link)]) == 2
    assert "there is no folder" in capsys.readouterr().err

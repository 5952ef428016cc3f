"""Reports: one file, nothing from outside, everything escaped and playable."""

from __future__ import annotations

import base64
import io
import re
import wave
from html.parser import HTMLParser

import av
import numpy as np
import pytest
from matplotlib.image import imread

from sklearn_drm.lipspeech import Evaluation, Report, Score, pages
from sklearn_drm.lipspeech.pictures import lip_strip, spectrogram_pair
from sklearn_drm.lipspeech.report import audio_player, score_table, video_player
from tests.lip_clips import SETTINGS, spoken_clips, spoken_features, tiny_regressor

EVIL = "<script>alert('x')</script> & \"ünïcode\" $\\frac{"


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "poster", "srcset", "action"):
                self.sources.append(value)

    def handle_data(self, data):
        self.words.append(data)

    def media(self, kind):
        start = f"data:{kind};base64,"
        return [
            base64.b64decode(source[len(start) :], validate=True)
            for source in self.sources
            if source.startswith(start)
        ]


def score(system, **values):
    fields = dict.fromkeys(
        ("r2_speech", "r2_speech_within", "r2_lips", "r2_lips_within")
        + ("r2_pixels", "r2_pixels_within", "speech_variance_ratio"),
        0.25,
    )
    return Score(system=system, **{**fields, "mcd": 4.0, **values})


def evaluation(*scores):
    return Evaluation(scores, 2, 100, 4, True)


@pytest.fixture(scope="module")
def converter():
    from sklearn_drm.lipspeech import LipSpeechConverter

    return LipSpeechConverter(
        tiny_regressor(), context=1, n_lip_components=8, settings=SETTINGS
    ).fit(list(spoken_features())[:4])


@pytest.fixture(scope="module")
def page(converter):
    """A whole report of a clip with a malicious name."""
    from dataclasses import replace

    report = Report(EVIL, EVIL)
    report.section(EVIL, EVIL)
    report.table(evaluation(score("mean"), score(EVIL, r2_speech=0.5)))
    features = replace(spoken_features()[5], name=EVIL)
    pages.add_conversion(report, converter, features, spoken_clips()[5])
    return Page(report.to_html())


def test_names_are_text_and_never_markup(page):
    assert "script" not in page.tags
    assert EVIL in page.words


def test_everything_is_inside_the_file(page):
    assert page.sources and all(source.startswith("data:") for source in page.sources)


def test_no_style_or_text_asks_for_another_file(converter):
    text = pages.fit_page(converter, "model.joblib").to_html()
    assert not re.search(r"https?://|@import|url\(|<link|<script", text)


def test_pictures_can_be_decoded(page):
    pictures = page.media("image/png")
    assert len(pictures) == 2
    for picture in pictures:
        pixels = imread(io.BytesIO(picture))
        assert pixels.shape[1] > 800 and np.ptp(pixels[..., :3]) > 0.5


def test_videos_can_be_played(page):
    videos = page.media("video/mp4")
    assert len(videos) == 3
    for video in videos:
        with av.open(io.BytesIO(video)) as container:
            kinds = {stream.type: stream.codec_context.name
                     for stream in container.streams}  # fmt: skip
            frames = list(container.decode(video=0))
        assert kinds == {"video": "h264", "audio": "aac"}
        assert len(frames) == 30
        assert (frames[0].width, frames[0].height) == (220, 220)


def test_sound_can_be_played():
    samples = np.sin(np.arange(1200) / 5) * 2
    (sound,) = Page(audio_player(samples, 12_000, "tone")).media("audio/wav")
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnframes()) == (12_000, 1200)
        pcm = np.frombuffer(file.readframes(1200), "<i2")
    np.testing.assert_allclose(pcm / 32767, np.clip(samples, -1, 1), atol=1e-4)


def test_a_video_without_sound():
    frames = np.zeros((5, 55, 55), np.uint8)
    (video,) = Page(video_player(frames, 25, None, None, "still")).media("video/mp4")
    with av.open(io.BytesIO(video)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_the_best_score_of_each_direction_is_marked():
    table = score_table(
        evaluation(
            score("a", r2_speech=0.1, mcd=5.0),
            score("b", r2_speech=0.3, mcd=6.0, speech_variance_ratio=None),
        )
    )
    assert '<span class="best">0.300</span>' in table
    assert '<span class="best">5.00</span>' in table
    assert '<span class="best">6.00</span>' not in table
    assert "None" not in table and "nan" not in table


def halves(png):
    pixels = imread(io.BytesIO(png))[..., :3].mean(axis=2)
    return np.array_split(pixels, 2)


def test_spectrograms_share_one_colour_scale():
    rng = np.random.default_rng(0)
    loud = rng.standard_normal(12_000)
    upper, lower = halves(spectrogram_pair([("a", loud, 12_000), ("b", loud, 12_000)]))
    _, quiet = halves(
        spectrogram_pair([("a", loud, 12_000), ("b", loud * 1e-3, 12_000)])
    )
    assert lower.mean() == pytest.approx(upper.mean(), abs=0.08)
    assert quiet.mean() < lower.mean() - 0.1


def test_a_tone_is_drawn_at_its_frequency():
    tone = np.sin(2 * np.pi * 1500 * np.arange(24_000) / 12_000)
    pixels = imread(io.BytesIO(spectrogram_pair([("tone", tone, 12_000)])))[..., :3]
    # Columns in the middle of the drawing; magma's brightest is nearly white.
    column = pixels[:, 450, :].sum(axis=1)
    dark = np.flatnonzero(column < 0.4)
    top, bottom = dark.min(), dark.max()
    inside = column[top : bottom + 1]
    height = (bottom - (top + int(np.argmax(inside)))) / (bottom - top)
    assert height == pytest.approx(1500 / 6000, abs=0.03)


@pytest.mark.parametrize("n_samples", [1, 10, 300, 12_000])
def test_spectrograms_of_short_and_silent_sounds(n_samples):
    png = spectrogram_pair([("silence", np.zeros(n_samples), 12_000)])
    assert np.isfinite(imread(io.BytesIO(png))).all()


def test_lip_images_stand_where_they_belong():
    black, white = np.zeros((8, 55, 55)), np.full((8, 55, 55), 255.0)
    upper, lower = halves(lip_strip([("black", black), ("white", white)], 25.0))
    assert upper[:, 300:].mean() < 0.4 and lower[:, 300:].mean() > 0.9


def test_a_report_is_written_whole(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    report = Report("Title")
    monkeypatch.setattr(
        type(path), "write_bytes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        report.write(path)
    monkeypatch.undo()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    report.write(path)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_pages_of_the_commands(converter):
    clip, features = spoken_clips()[5], spoken_features()[5]
    speech = converter.lips_to_speech(features.lips)
    pages_made = [
        pages.lips_to_speech_page(clip, features.lips, 25.0, speech),
        pages.speech_to_lips_page(
            EVIL, clip.waveform, clip.sample_rate, features.lips, 25.0, None
        ),
        pages.fit_page(converter, EVIL),
        pages.evaluation_page(
            converter, evaluation(score("DRM")), [(features, clip)], EVIL
        ),
    ]
    for report in pages_made:
        page = Page(report.to_html())
        assert page.media("image/png") and "script" not in page.tags
        # Captions describe the pictures to those who do not see them.
        assert page.tags.count("figcaption") == page.tags.count("figure")

"""The synthetic mouth: seeded, and its sound really follows its lips."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import stft

from sklearn_drm.lipspeech import make_lip_speech
from tests.lip_clips import spoken_clips


def same(first, second):
    return np.array_equal(first.frames, second.frames) and np.array_equal(
        first.waveform, second.waveform
    )


def mouth_opening(frames):
    """Dark or toothy pixels between the lips, measured without the generator."""
    frames = frames.astype(float)
    middle = frames[:, :, frames.shape[2] // 2 - 6 : frames.shape[2] // 2 + 6]
    skin = np.median(frames, axis=(1, 2))[:, None, None]
    return (middle < 0.40 * skin).sum(axis=(1, 2))


def mouth_width(frames):
    """Columns in which something is much darker than skin."""
    frames = frames.astype(float)
    skin = np.median(frames, axis=(1, 2))[:, None]
    return (frames.min(axis=1) < 0.72 * skin).sum(axis=1)


def band_levels(clip, low, high):
    """Level of a band in dB, one value per video frame."""
    rate = clip.sample_rate
    hop = round(rate / clip.frame_rate)
    frequency, _, values = stft(
        clip.waveform, rate, nperseg=hop, noverlap=0, boundary=None, padded=False
    )
    power = np.abs(values[(frequency >= low) & (frequency < high)]) ** 2
    return 10 * np.log10(power.sum(axis=0) + 1e-9)


def within_clips(clips, measure):
    """A measure of each clip without the clip's mean, one after the other."""
    parts = [measure(clip) for clip in clips]
    return np.concatenate([part - part.mean() for part in parts])


def test_a_seed_gives_the_same_clips():
    first, second = spoken_clips(2), make_lip_speech(2, 1.2, random_state=3)
    assert all(same(a, b) for a, b in zip(first, second, strict=False))


def test_another_seed_gives_other_clips():
    first, second = (make_lip_speech(1, 0.8, random_state=s)[0] for s in (0, 1))
    assert not np.array_equal(first.frames, second.frames)
    assert not np.array_equal(first.waveform, second.waveform)


def test_clips_do_not_depend_on_how_many_are_made():
    few, many = (make_lip_speech(n, 0.6, random_state=7) for n in (2, 4))
    assert all(same(a, b) for a, b in zip(few, many, strict=False))
    assert not same(many[2], many[3])


@pytest.mark.parametrize("frame_rate", [25.0, 30.0, 29.97])
@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100])
def test_lengths_and_ranges(frame_rate, sample_rate):
    (clip,) = make_lip_speech(
        1, 0.7, frame_rate=frame_rate, sample_rate=sample_rate, random_state=0, size=32
    )
    n_frames = round(0.7 * frame_rate)
    assert clip.frames.shape == (n_frames, 32, 32)
    assert clip.frames.dtype == np.uint8
    assert len(clip.waveform) == round(n_frames * sample_rate / frame_rate)
    assert np.isfinite(clip.waveform).all()
    assert np.abs(clip.waveform).max() < 1


def test_open_mouths_are_loud():
    clips = make_lip_speech(8, 3.0, random_state=11)
    opening = within_clips(clips, lambda c: mouth_opening(c.frames).astype(float))
    voice = within_clips(clips, lambda c: band_levels(c, 100, 1200))
    assert np.corrcoef(opening, voice)[0, 1] > 0.45


def test_lips_of_another_clip_say_nothing():
    clips = make_lip_speech(8, 3.0, random_state=11)
    opening = within_clips(clips, lambda c: mouth_opening(c.frames).astype(float))
    voice = within_clips(clips[1:] + clips[:1], lambda c: band_levels(c, 100, 1200))
    assert abs(np.corrcoef(opening, voice)[0, 1]) < 0.2


def test_spread_lips_raise_the_second_formant():
    clips = make_lip_speech(8, 3.0, random_state=11)
    width = np.concatenate([mouth_width(c.frames) for c in clips]).astype(float)
    tilt = np.concatenate(
        [band_levels(c, 1900, 2600) - band_levels(c, 600, 1200) for c in clips]
    )
    voice = np.concatenate([band_levels(c, 100, 1200) for c in clips])
    opening = np.concatenate([mouth_opening(c.frames) for c in clips])
    vowels = (voice > np.median(voice)) & (opening < np.percentile(opening, 85))
    assert np.corrcoef(width[vowels], tilt[vowels])[0, 1] > 0.8


def test_there_are_pauses_and_the_end_is_silent():
    clips = make_lip_speech(4, 3.0, random_state=5)
    for clip in clips:
        level = band_levels(clip, 100, 6000)
        assert (level < level.max() - 40).mean() > 0.1
        assert level[-1] < level.max() - 30
        assert mouth_opening(clip.frames)[-1] < np.max(mouth_opening(clip.frames))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_clips": 0}, "n_clips"),
        ({"seconds": 0.0}, "seconds"),
        ({"frame_rate": -1.0}, "frame_rate"),
        ({"sample_rate": 100}, "sample_rate"),
        ({"size": 3}, "size"),
    ],
)
def test_arguments_out_of_range(arguments, words):
    with pytest.raises(ValueError, match=words):
        make_lip_speech(**{"n_clips": 1, "seconds": 0.2, **arguments})

"""WORLD features per video frame, and the waveform made from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, lfilter, sosfiltfilt

from drm_transformers.clips import read_clip, read_sound, write_clip, write_wav
from drm_transformers.mel_cepstrum import (
    MelCepstrumTransformer,
    spectrum_to_mel_cepstrum,
)
from drm_transformers.resampling import resample
from drm_transformers.synthesis import _at_hops
from drm_transformers.vocoder import (
    WorldFeatures,
    analyze,
    frame_features,
    synthesize,
)

RATE = 12_000


def vowel(f0, seconds=1.0, rate=RATE, level=0.1):
    """Harmonics of f0 through three formants, as loud as `level` (RMS)."""
    time = np.arange(round(seconds * rate)) / rate
    wave = np.zeros_like(time)
    for k in range(1, int(5500 / f0)):
        wave += np.cos(2 * np.pi * k * f0 * time) / k
    for centre, width in ((600, 80), (1200, 100), (2600, 150)):
        radius = np.exp(-np.pi * width / rate)
        poles = [1, -2 * radius * np.cos(2 * np.pi * centre / rate), radius**2]
        wave = lfilter([1.0], poles, wave)
    return level * wave / np.sqrt(np.mean(wave**2))


def noise(seconds=1.0, rate=RATE, level=0.1, seed=0):
    return level * np.random.default_rng(seed).normal(size=round(seconds * rate))


def rms_db(signal, reference):
    return 10 * np.log10(np.mean(signal**2) / np.mean(reference**2))


@pytest.mark.parametrize("f0", [90.0, 120.0, 210.0, 350.0])
@pytest.mark.parametrize("rate", [8000, 12_000, 16_000, 44_100, 48_000])
def test_f0_of_a_vowel(f0, rate):
    wave = vowel(f0, rate=48_000)[:: 48_000 // rate] if rate in (8000, 16_000) else None
    wave = vowel(f0, rate=rate) if wave is None else wave
    world = analyze(wave, rate)
    middle = slice(20, -20)
    assert (world.f0[middle] > 0).mean() > 0.95
    assert np.median(world.f0[middle]) == pytest.approx(f0, rel=0.01)
    assert world.envelope.shape == (len(world.f0), 257)
    assert world.aperiodicity.shape == (len(world.f0), 1)
    assert world.sample_rate == RATE and len(world.f0) == 201


def test_noise_is_unvoiced():
    assert (analyze(noise(), RATE).f0 > 0).mean() < 0.1


def test_voicing_follows_the_sound():
    wave = np.concatenate([vowel(120, 0.5), noise(0.5), vowel(150, 0.5)])
    voiced = analyze(wave, RATE).f0 > 0
    assert voiced[10:90].mean() > 0.9
    assert voiced[110:190].mean() < 0.15
    assert voiced[210:290].mean() > 0.9


def test_hum_in_a_pause_is_unvoiced():
    time = np.arange(RATE // 2) / RATE
    hum = 2e-4 * (np.sin(2 * np.pi * 100 * time) + np.sin(2 * np.pi * 200 * time))
    wave = np.concatenate([vowel(120, 0.5), hum])
    voiced = analyze(wave, RATE).f0 > 0
    assert voiced[10:90].mean() > 0.9 and not voiced[110:].any()


def test_rumble_hides_nothing():
    """10 Hz as loud as the voice leaves f0 and the envelope as they are."""
    wave = vowel(120)
    rumble = 0.14 * np.sin(2 * np.pi * 10 * np.arange(len(wave)) / RATE)
    clean, rumbling = analyze(wave, RATE), analyze(wave + rumble, RATE)
    middle = slice(40, -40)
    np.testing.assert_allclose(rumbling.f0[middle], clean.f0[middle], rtol=0.01)
    change = 10 * np.log10(rumbling.envelope[middle] / clean.envelope[middle])
    assert np.abs(change).max() < 1.0


def test_envelope_of_noise_is_its_power_spectrum():
    """White noise of variance v has a flat envelope at v."""
    envelope = analyze(noise(4.0, level=0.1), RATE).envelope
    level = 10 * np.log10(envelope[:, 10:-10].mean(axis=0))
    assert np.abs(level - -20).max() < 2.0


@pytest.mark.parametrize("wave", [np.zeros(6000), np.zeros(1), np.full(600, 0.25)])
def test_silence_is_finite(wave):
    world = analyze(wave, RATE)
    assert np.isfinite(np.log(world.envelope)).all() and (world.f0 == 0).all()
    assert (world.envelope >= 1e-10).all()
    speech = frame_features(world, 5, 25.0)
    assert np.isfinite(speech.excitation).all()
    assert (speech.excitation[:, 1] == 0).all()


def test_digital_zero_after_speech_is_no_outlier():
    wave = np.concatenate([vowel(120, 0.5), np.zeros(6000)])
    level = np.log10(analyze(wave, RATE).envelope.mean(axis=1))
    assert level.max() - level.min() < 6.01


@pytest.mark.parametrize("n_samples", [1, 59, 60, 61, 676, 677, 6000])
def test_number_of_hops(n_samples):
    assert len(analyze(noise()[:n_samples], RATE).f0) == n_samples // 60 + 1


def test_analysis_is_repeatable_and_leaves_its_input_alone():
    wave = vowel(120).astype(np.float32)
    wave.flags.writeable = False
    first, second = analyze(wave, RATE), analyze(wave[::1], RATE)
    np.testing.assert_array_equal(first.envelope, second.envelope)
    np.testing.assert_array_equal(first.aperiodicity, second.aperiodicity)


@settings(max_examples=10)
@given(st.floats(0.4, 4.0))
def test_louder_sound_has_a_louder_envelope_and_the_same_f0(gain):
    wave = vowel(120, 0.4, level=0.05)
    one, other = analyze(wave, RATE), analyze(gain * wave, RATE)
    np.testing.assert_allclose(other.f0, one.f0, rtol=1e-3)
    ratio = other.envelope / one.envelope / gain**2
    assert np.abs(np.log(ratio)).max() < 0.02


@pytest.mark.parametrize(
    ("wave", "arguments", "match"),
    [
        ([], {}, "shape"),
        (np.zeros((2, 100)), {}, "shape"),
        ([0.0, np.nan], {}, "NaN"),
        ([0.0], {"target_rate": 8000}, "target_rate >= 12000"),
        ([0.0], {"hop": 0.0}, "hop > 0"),
        ([0.0], {"sample_rate": 0}, "sample_rate"),
    ],
)
def test_wrong_sound(wave, arguments, match):
    with pytest.raises(ValueError, match=match):
        analyze(wave, **({"sample_rate": RATE} | arguments))


def random_world(n_hops, seed=0, hop=0.005):
    rng = np.random.default_rng(seed)
    f0 = np.where(rng.random(n_hops) < 0.6, rng.uniform(80, 200, n_hops), 0.0)
    return WorldFeatures(
        f0, rng.gamma(1, size=(n_hops, 5)), -rng.random((n_hops, 2)), RATE, hop
    )


@given(
    n_hops=st.integers(1, 60),
    n_frames=st.integers(1, 30),
    rate=st.sampled_from([24.0, 25.0, 30000 / 1001, 50.0, 200.0, 300.0]),
    seed=st.integers(0, 99),
)
def test_frames_average_their_own_hops(n_hops, n_frames, rate, seed):
    """Against a loop; frames without hops, or beyond the sound, take the nearest."""
    world = random_world(n_hops, seed)
    got = frame_features(world, n_frames, rate)
    voiced = np.flatnonzero(world.f0)
    for i in range(n_frames):
        own = [j for j in range(n_hops) if i <= round(j * world.hop * rate, 9) < i + 1]
        if not own:
            middle = (i + 0.5) / rate / world.hop
            distance = np.abs(np.arange(n_hops) - middle)
            own = [int(distance.argmin())]
            if np.sum(distance < distance.min() + 1e-6) > 1:
                continue
        geometric = np.exp(np.mean(np.log(world.envelope[own]), axis=0))
        np.testing.assert_allclose(got.envelope[i], geometric, rtol=1e-9)
        assert got.excitation[i, 1] == pytest.approx(np.mean(world.f0[own] > 0))
        np.testing.assert_allclose(
            got.excitation[i, 2:], world.aperiodicity[own].mean(axis=0)
        )
        if len(voiced) == 0:
            assert got.excitation[i, 0] == pytest.approx(np.log(120))
            continue
        logs = []
        for j in own:
            before, after = voiced[voiced <= j], voiced[voiced >= j]
            a = before[-1] if len(before) else after[0]
            b = after[0] if len(after) else before[-1]
            share = 0.0 if a == b else (j - a) / (b - a)
            logs.append((1 - share) * np.log(world.f0[a]) + share * np.log(world.f0[b]))
        assert got.excitation[i, 0] == pytest.approx(np.mean(logs))


def test_mean_cepstrum_is_that_of_the_geometric_mean():
    world = analyze(vowel(120), RATE)
    speech = frame_features(world, 25, 25.0)
    hops = spectrum_to_mel_cepstrum(world.envelope, 31, 0.37)
    frames = spectrum_to_mel_cepstrum(speech.envelope, 31, 0.37)
    expected = hops[:200].reshape(25, 8, 32).mean(axis=1)
    np.testing.assert_allclose(frames, expected, atol=1e-9)


@given(
    st.integers(1, 12),
    st.sampled_from([12.5, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0, 100.0, 120.0, 200.0]),
    st.integers(0, 2**32 - 1),
)
def test_synthesis_keeps_the_means_that_the_analysis_takes(n_frames, rate, seed):
    rows = np.random.default_rng(seed).normal(size=(n_frames, 26))
    n_hops = int(np.ceil(n_frames / rate / 0.005 - 1e-6))
    hops = _at_hops(rows, n_hops + 2, 0.005 * rate)
    assert hops.shape == (n_hops + 2, 26)
    # `frame_features` averages logarithms of envelopes of the same hops.
    world = WorldFeatures(
        np.zeros(n_hops), np.exp(hops[:n_hops]), np.zeros((n_hops, 1)), RATE, 0.005
    )
    means = frame_features(world, n_frames, rate).envelope
    np.testing.assert_allclose(np.log(means), rows, atol=1e-9)


@pytest.mark.parametrize("rate", [130.0, 150.0, 160.0, 180.0, 190.0, 195.0, 199.9])
def test_frames_hardly_longer_than_a_hop_stay_in_range(rate):
    """Lines that keep the mean of one hop each would grow along the clip."""
    rows = np.random.default_rng(0).uniform(-1, 1, size=(600, 3))
    hops = _at_hops(rows, int(600 / rate / 0.005) + 2, 0.005 * rate)
    assert np.abs(hops).max() < 4


def test_a_row_for_every_hop_is_that_hop():
    rows = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(_at_hops(rows, 9, 1.0), rows, rtol=1e-12)


@pytest.mark.parametrize("rate", [200.0, 240.0, 600.0, 1000.0])
def test_more_frames_than_hops_are_read_off_between_their_middles(rate):
    rows = np.arange(300.0)[:, None]
    hops = _at_hops(rows, 80, 0.005 * rate)[:, 0]
    middles = (np.arange(80) + 0.5) * 0.005 * rate - 0.5
    np.testing.assert_allclose(hops, np.minimum(middles, 299), rtol=1e-12)


def test_a_steady_rise_stays_in_its_place():
    rows = np.arange(20.0)[:, None]
    # Frame i, of 40 ms, has the value i at its middle; hop k is the 5 ms from 5 k.
    middles = (np.arange(160) + 0.5) / 8 - 0.5
    found = _at_hops(rows, 160, 0.005 * 25)[:, 0]
    np.testing.assert_allclose(found[40:-40], middles[40:-40], atol=1e-4)


def round_trip(wave, n_frames, rate=RATE):
    speech = frame_features(analyze(wave, rate), n_frames, 25.0)
    cepstra = spectrum_to_mel_cepstrum(speech.envelope, 31, 0.37)
    return synthesize(
        cepstra,
        speech.excitation,
        frame_rate=25.0,
        n_samples=round(n_frames / 25 * RATE),
        alpha=0.37,
    )


def test_flat_noise_has_the_level_of_its_envelope():
    cepstra = np.zeros((100, 32))
    cepstra[:, 0] = np.log(0.1)
    excitation = np.tile([np.log(120.0), 0.0, 0.0], (100, 1))
    wave = synthesize(cepstra, excitation, frame_rate=25, n_samples=48_000, alpha=0.37)
    assert len(wave) == 48_000
    assert rms_db(wave, np.full(9, 0.1)) == pytest.approx(0, abs=0.5)


# WORLD alone, without frames and mel-cepstra, gives 2.2 dB too much at 200 Hz.
@pytest.mark.parametrize(("f0", "tolerance"), [(90.0, 1.0), (100.0, 1.0), (200.0, 2.5)])
def test_voice_comes_back_at_its_level_and_pitch(f0, tolerance):
    wave = vowel(f0, 2.0)
    again = round_trip(wave, 50)
    middle = slice(2400, -2400)
    assert rms_db(again[middle], wave[middle]) == pytest.approx(0, abs=tolerance)
    found = analyze(again, RATE).f0[40:-40]
    assert np.median(found[found > 0]) == pytest.approx(f0, rel=0.01)
    assert (found > 0).mean() > 0.95


def test_pauses_stay_quiet():
    wave = np.concatenate([vowel(120, 0.6), np.zeros(7200), vowel(120, 0.8)])
    again = round_trip(wave, 50)
    assert rms_db(again[8600:13_000], wave[2400:6000]) < -45


@settings(max_examples=15)
@given(
    n_frames=st.integers(1, 8),
    n_samples=st.integers(0, 5000),
    rate=st.sampled_from([24.0, 25.0, 60.0]),
    seed=st.integers(0, 99),
)
def test_result_has_the_length_asked_for(n_frames, n_samples, rate, seed):
    rng = np.random.default_rng(seed)
    wave = synthesize(
        rng.normal(size=(n_frames, 6)),
        rng.normal(size=(n_frames, 3)) * 5,
        frame_rate=rate,
        n_samples=n_samples,
    )
    assert wave.shape == (n_samples,) and np.isfinite(wave).all()


def test_equal_input_gives_equal_sound():
    excitation = np.tile([np.log(120.0), 0.0, 0.0], (10, 1))
    arguments = {"frame_rate": 25, "n_samples": 4800}
    first = synthesize(np.zeros((10, 32)), excitation, **arguments)
    second = synthesize(np.zeros((10, 32)), excitation, **arguments)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"excitation": np.zeros((4, 3))}, "excitation has shape"),
        ({"excitation": np.zeros((5, 2))}, "need \\(5, 3\\)"),
        ({"mel_cepstra": np.full((5, 32), np.nan)}, "NaN"),
        ({"sample_rate": 8000}, "sample_rate >= 12000"),
        ({"frame_rate": 0.0}, "frame_rate > 0"),
        ({"n_samples": -1}, "n_samples >= 0"),
    ],
)
def test_what_cannot_be_synthesized(change, match):
    arguments = {
        "mel_cepstra": np.zeros((5, 32)),
        "excitation": np.zeros((5, 3)),
        "frame_rate": 25.0,
        "n_samples": 100,
    }
    with pytest.raises(ValueError, match=match):
        synthesize(**(arguments | change))


@pytest.mark.grid
def test_real_speech_comes_back(grid, tmp_path):
    """Level of speech within 1 dB, pauses quiet; measured above 70 Hz.

    The recordings have rumble below the voice, which the analysis takes out.
    """
    high = butter(4, 70, "high", fs=RATE, output="sos")
    levels = []
    for path in sorted((grid / "clips").glob("*.mpg"))[::50]:
        clip = read_clip(path)
        wave = clip.waveform
        write_wav(tmp_path / "a.wav", wave, clip.sample_rate)
        original, _ = read_sound(tmp_path / "a.wav", sample_rate=RATE)
        n = len(clip.frames)
        again = round_trip(wave, n, clip.sample_rate)
        assert len(again) == n * 480
        before, after = (
            (sosfiltfilt(high, w)[: n * 480].reshape(n, 480) ** 2).mean(axis=1)
            for w in (original, again)
        )
        speech, pause = before > 1e-3 * before.max(), before < 1e-4 * before.max()
        levels.append(10 * np.log10(after[speech].mean() / before[speech].mean()))
        assert abs(levels[-1]) < 1.5, path.name
        assert np.corrcoef(np.log(before), np.log(after))[0, 1] > 0.9
        if pause.any():
            assert 10 * np.log10(after[pause].mean() / after[speech].mean()) < -30
    assert abs(np.mean(levels)) < 1.0


def rate_users(folder):
    """Everything that takes a sampling rate, as functions of it."""
    sound = vowel(120.0, 0.2)
    cepstra, excitation = np.zeros((5, 32)), np.zeros((5, 3))
    write_wav(folder / "given.wav", sound, RATE)
    frames = np.zeros((5, 16, 16), np.uint8)
    return {
        "resample to": lambda rate: resample(sound, RATE, rate),
        "resample from": lambda rate: resample(sound, rate, RATE),
        "write_wav": lambda rate: write_wav(folder / "a.wav", sound, rate),
        "write_clip": lambda rate: write_clip(
            folder / "a.mp4", frames, 25, sound, rate
        ),
        "read_sound": lambda rate: read_sound(folder / "given.wav", sample_rate=rate),
        "analyze from": lambda rate: analyze(sound, rate),
        "analyze at": lambda rate: analyze(sound, RATE, target_rate=rate),
        "synthesize": lambda rate: synthesize(
            cepstra, excitation, frame_rate=25, n_samples=2400, sample_rate=rate
        ),
        "cepstra": lambda rate: MelCepstrumTransformer(
            sample_rate=rate, n_coefficients=8
        ).fit(np.stack([sound, sound])),
    }


@pytest.mark.parametrize("rate", [0, -12_000, 12_000.5, np.nan, np.inf, True, "12000"])
def test_rates_that_cannot_be_are_refused_alike(rate, tmp_path):
    users = rate_users(tmp_path)
    before = set(tmp_path.iterdir())
    for use in users.values():
        with pytest.raises(ValueError, match="sample rate|sample_rate|target_rate"):
            use(rate)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("rate", [12_000.0, np.int64(12_000), np.float32(12_000)])
def test_whole_rates_of_any_type_are_taken(rate, tmp_path):
    for use in rate_users(tmp_path).values():
        use(rate)

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import firwin, lfilter
from sklearn.utils.estimator_checks import check_estimator

from drm_transformers import MelCepstrumTransformer
from drm_transformers.mel_cepstrum import (
    mel_cepstral_alpha,
    mel_cepstrum_to_spectrum,
    spectrum_to_mel_cepstrum,
)
from drm_transformers.speech_inverse import filter_excitation
from drm_transformers.speech_window import SpeechWindow, mel_cepstra_of_frames

pysptk = pytest.importorskip("pysptk")
pyworld = pytest.importorskip("pyworld")

DB = 10 * np.sqrt(2) / np.log(10)
RATE = 12_000


def distortion(difference: np.ndarray) -> np.ndarray:
    """Mel-cepstral distortion in dB with c0, each row."""
    square = 0.5 * difference[..., 0] ** 2 + np.sum(difference[..., 1:] ** 2, axis=-1)
    return DB * np.sqrt(square)


def vowel(n_samples: int = 2400, rate: int = RATE, f0: float = 120.0, seed: int = 0):
    """Pulses through three resonances, with a little noise."""
    rng = np.random.default_rng(seed)
    pulses = np.zeros(n_samples + rate)
    pulses[np.rint(np.arange(0, len(pulses) - 1, rate / f0)).astype(int)] = 1.0
    sound = pulses + 0.01 * rng.standard_normal(len(pulses))
    for frequency in np.array([600.0, 1400.0, 2600.0]) * rng.uniform(0.7, 1.3, 3):
        pole = 0.96 * np.exp(2j * np.pi * frequency / rate)
        sound = lfilter([1], np.poly([pole, pole.conj()]).real, sound)
    return 0.3 * sound[-n_samples:] / np.abs(sound).max()


def smooth_cepstra(rng: np.random.Generator, n: int, size: int = 32) -> np.ndarray:
    cepstra = rng.normal(size=(n, size)) / (1 + np.arange(size))
    cepstra[:, 0] -= 4
    return cepstra


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"input": "spectrum"},
        {"input_sample_rate": 48_000},
        pytest.param({"method": "world"}, marks=pytest.mark.slow),
        pytest.param({"excitation": True, "per_hop": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_scikit_learn_checks(parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(MelCepstrumTransformer(**parameters), on_fail=None)
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    assert len(results) > 40
    assert failed == []


@pytest.mark.parametrize("rate", [8000, 10_000, 12_000, 16_000, 22_050, 44_100, 48_000])
def test_alpha_agrees_with_sptk(rate):
    expected = pysptk.util.mcepalpha(rate)
    assert mel_cepstral_alpha(rate) == pytest.approx(expected, abs=2e-3)
    assert round(mel_cepstral_alpha(12_000), 2) == 0.37


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(-0.7, 0.7), st.integers(0, 24))
def test_spectrum_is_that_of_the_all_pass_series(seed, alpha, order):
    # H(z) = exp sum c_m Z^m, Z = (1/z - alpha) / (1 - alpha/z), on the unit circle.
    cepstra = smooth_cepstra(np.random.default_rng(seed), 2, order + 1)
    delay = np.exp(-1j * np.linspace(0, np.pi, 65))
    all_pass = (delay - alpha) / (1 - alpha * delay)
    transfer = np.exp(cepstra @ all_pass ** np.arange(order + 1)[:, None])
    power = mel_cepstrum_to_spectrum(cepstra, alpha, 128)
    np.testing.assert_allclose(power, np.abs(transfer) ** 2, rtol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2, 0.37]))
def test_functions_agree_with_sptk_and_undo_each_other(seed, alpha):
    cepstra = smooth_cepstra(np.random.default_rng(seed), 3)
    power = mel_cepstrum_to_spectrum(cepstra, alpha, 512)
    expected = [pysptk.mc2sp(row, alpha, 512) for row in cepstra]
    np.testing.assert_allclose(power, expected, rtol=1e-9)
    noisy = power * np.random.default_rng(seed).uniform(0.1, 10, power.shape)
    expected = [pysptk.sp2mc(row, 31, alpha) for row in noisy]
    np.testing.assert_allclose(
        spectrum_to_mel_cepstrum(noisy, 31, alpha), expected, atol=1e-9
    )
    back = spectrum_to_mel_cepstrum(power, 31, alpha)
    np.testing.assert_allclose(back, cepstra, atol=1e-9)


def test_mean_cepstrum_is_that_of_the_geometric_mean():
    power = np.random.default_rng(0).uniform(1e-6, 1, (8, 257))
    mean = spectrum_to_mel_cepstrum(power, 31, 0.37).mean(axis=0)
    geometric = np.exp(np.log(power).mean(axis=0))
    np.testing.assert_allclose(
        spectrum_to_mel_cepstrum(geometric, 31, 0.37), mean, atol=1e-10
    )


@settings(deadline=None, max_examples=30)
@given(
    arrays(np.float64, (3, 33), elements=st.floats(0, 1e30)),
    # The warped cosines go (1 + alpha) / (1 - alpha) = 2.2 times faster near 0 Hz.
    st.integers(1, 14),
    st.booleans(),
)
def test_spectrum_rows_keep_their_cepstra(power, count, as_float32):
    power = power.astype(np.float32 if as_float32 else np.float64)
    transformer = MelCepstrumTransformer(input="spectrum", n_coefficients=count)
    cepstra = transformer.fit_transform(power)
    assert cepstra.dtype == power.dtype
    assert np.isfinite(cepstra).all()
    # Powers above the floor of 1e-20 only.
    size = 2 * np.abs(cepstra.astype(np.float64)).sum(axis=1, keepdims=True)
    wanted = cepstra * 40 / np.maximum(size, 40)
    again = transformer.transform(transformer.inverse_transform(wanted))
    np.testing.assert_allclose(again, wanted, atol=1e-6)


def test_spectrum_per_hop_is_hop_by_hop():
    power = np.random.default_rng(0).uniform(0.1, 1, (5, 8, 257))
    per_hop = MelCepstrumTransformer(input="spectrum", per_hop=True)
    single = MelCepstrumTransformer(input="spectrum").fit(power[:, 0])
    cepstra = per_hop.fit_transform(power.reshape(5, -1)).reshape(5, 8, 32)
    for hop in range(8):
        np.testing.assert_allclose(cepstra[:, hop], single.transform(power[:, hop]))
    envelopes = per_hop.inverse_transform(cepstra.reshape(5, -1))
    assert envelopes.shape == (5, 8 * 257)
    np.testing.assert_allclose(
        per_hop.transform(envelopes), cepstra.reshape(5, -1), atol=1e-9
    )


def test_frames_agree_with_the_criterion_of_the_estimator():
    # The gradient of mean(I/|H|^2 + ln |H|^2) is zero at the mel-cepstrum.
    frames = np.random.default_rng(0).standard_normal((4, 300)) * np.blackman(300)
    cepstra = mel_cepstra_of_frames(frames, 31, 0.37, 512, 1e-12)
    delay = np.exp(-2j * np.pi * np.arange(512) / 512)
    basis = ((delay - 0.37) / (1 - 0.37 * delay)) ** np.arange(32)[:, None]
    ratio = np.abs(np.fft.fft(frames, 512)) ** 2 / np.exp(2 * cepstra @ basis.real)
    gradient = np.mean((1 - ratio)[:, None, :] * basis.real, axis=2)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_frames_where_newton_breaks_down_fall_back(monkeypatch):
    frames = np.random.default_rng(0).standard_normal((2, 300))
    power = np.abs(np.fft.rfft(frames, 512)) ** 2 + 1e-12
    expected = spectrum_to_mel_cepstrum(power, 31, 0.37)

    def fails(*args, **kwargs):
        raise RuntimeError("theq")

    for breaks in (fails, lambda *args, **kwargs: np.full(32, np.nan)):
        monkeypatch.setattr(pysptk, "mcep", breaks)
        got = mel_cepstra_of_frames(frames, 31, 0.37, 512, 1e-12)
        np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("n_samples", [3, 480, 2400, 2401, 6000])
@pytest.mark.parametrize("input_rate", [8000.0, 12_000.0, 44_100.0, 48_000.0])
def test_middle_of_a_row_is_the_middle_of_the_hops(n_samples, input_rate):
    window = SpeechWindow(n_samples, input_rate, RATE, 8, 512)
    middle = window.start + n_samples / 2 * RATE / input_rate
    centres = window.frame_starts + window.frame_length / 2
    assert centres.mean() == pytest.approx(middle, abs=1.0)
    np.testing.assert_array_equal(np.diff(centres), 60)
    assert window.start >= 0 and window.inside.stop <= window.n_buffer
    assert window.frame_starts[0] >= 0
    assert window.frame_starts[-1] + window.frame_length <= window.n_buffer
    # WORLD looks at whole multiples of the hop.
    np.testing.assert_allclose(
        centres, (window.first_hop + np.arange(8)) * 0.005 * RATE, atol=0.5
    )


def test_only_the_central_frames_count():
    row = vowel()
    transformer = MelCepstrumTransformer().fit(row[None])
    # 8 hops of 5 ms and frames of 25 ms: 60 ms, samples 840 to 1560.
    changed = row.copy()
    changed[:838] = 0.0
    changed[1562:] = 1.0
    both = transformer.transform(np.stack((row, changed)))
    np.testing.assert_array_equal(both[0], both[1])
    changed[1500] += 0.1
    assert np.abs(transformer.transform(changed[None]) - both[0]).max() > 1e-6


def test_width_of_the_row_does_not_matter():
    row = vowel()
    wide = MelCepstrumTransformer().fit_transform(row[None])
    narrow = MelCepstrumTransformer().fit_transform(row[None, 800:1600])
    np.testing.assert_allclose(narrow, wide, atol=1e-12)
    short = MelCepstrumTransformer().fit_transform(row[None, 960:1440])
    padded = np.pad(row[960:1440], 960)[None]
    np.testing.assert_allclose(
        short, MelCepstrumTransformer().fit_transform(padded), atol=1e-12
    )


@pytest.mark.parametrize("method", ["sptk", "world"])
def test_per_hop_has_the_default_as_its_mean(method):
    rows = np.stack([vowel(seed=seed) for seed in range(3)])
    mean = MelCepstrumTransformer(method=method).fit_transform(rows)
    hops = MelCepstrumTransformer(method=method, per_hop=True).fit_transform(rows)
    assert hops.shape == (3, 256)
    np.testing.assert_allclose(hops.reshape(3, 8, 32).mean(axis=1), mean, atol=1e-12)
    shifted = MelCepstrumTransformer(method=method, per_hop=True).fit_transform(
        np.roll(rows, -60, axis=1)
    )
    if method == "sptk":
        np.testing.assert_allclose(shifted[:, : 7 * 32], hops[:, 32:], atol=1e-9)


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 3000.0, 5000.0])
@pytest.mark.parametrize("method", ["sptk", "world"])
def test_peak_of_a_tone_is_at_its_frequency(frequency, method):
    tone = 0.5 * np.sin(2 * np.pi * frequency * np.arange(2400) / RATE)
    transformer = MelCepstrumTransformer(method=method)
    spectrum = transformer.to_spectrogram(transformer.fit_transform(tone[None]))[0]
    peak = np.argmax(spectrum) * RATE / 512
    assert peak == pytest.approx(frequency, abs=max(80, 0.04 * frequency))


@pytest.mark.parametrize("method", ["sptk", "world"])
def test_pulses_through_a_filter_show_its_response(method):
    pulses = np.zeros((1, 2400))
    pulses[0, ::100] = 1.0
    poles = 0.9 * np.exp(2j * np.pi * np.array([900, -900, 2500, -2500]) / RATE)
    rows = lfilter([1], np.poly(poles).real, pulses)
    transformer = MelCepstrumTransformer(method=method)
    spectrum = transformer.to_spectrogram(transformer.fit_transform(rows))[0]
    z = np.exp(1j * np.linspace(0, np.pi, 257))[:, None]
    response = -2 * np.log(np.abs(1 - poles / z)).sum(axis=1)
    difference = (spectrum - spectrum.mean()) - (response - response.mean())
    # Natural log of power: 0.35 is 1.5 dB.
    assert np.sqrt(np.mean(difference[8:-8] ** 2)) < 0.35


def test_gain_moves_only_c0():
    row = vowel()[None]
    transformer = MelCepstrumTransformer().fit(row)
    base = transformer.transform(row)
    # 1e30 and int16 are scaled before the analysis, so compare beyond the floor too.
    for gain in (0.5, 100.0, 32_767.0, 1e30):
        moved = transformer.transform(row * gain) - base
        assert moved[0, 0] == pytest.approx(np.log(gain), abs=2e-3)
        assert np.abs(moved[0, 1:]).max() < 2e-3


@pytest.mark.parametrize(
    "parameters",
    [{}, {"method": "world"}, {"excitation": True}, {"per_hop": True}],
    ids=str,
)
@pytest.mark.parametrize("value", [0.0, 1e-300, 1e-8, 1.0, 1e30, 1e300])
def test_silence_and_constant_rows_are_finite(parameters, value):
    transformer = MelCepstrumTransformer(**parameters)
    cepstra = transformer.fit_transform(np.full((1, 2400), value))
    assert np.isfinite(cepstra).all()
    if value == 0.0:
        assert -20 < cepstra[0, 0] < -10
        assert np.isfinite(transformer.inverse_transform(cepstra)).all()


@settings(deadline=None, max_examples=15)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 40)),
        elements=st.floats(-1e30, 1e30),
    ),
    st.randoms(use_true_random=False),
)
def test_rows_are_independent_and_finite(rows, random):
    transformer = MelCepstrumTransformer().fit(rows)
    cepstra = transformer.transform(rows)
    assert np.isfinite(cepstra).all()
    order = list(range(len(rows)))
    random.shuffle(order)
    np.testing.assert_array_equal(transformer.transform(rows[order]), cepstra[order])
    alone = np.vstack([transformer.transform(row[None]) for row in rows])
    np.testing.assert_array_equal(alone, cepstra)


def test_resampling_keeps_cepstra_below_the_band_edge():
    # Speech made at 12 kHz and brought to 48 kHz by an independent interpolation.
    rows = np.stack([vowel(seed=seed) for seed in range(3)])
    fine = np.zeros((3, 9600))
    fine[:, ::4] = rows * 4
    taps = firwin(801, 5900, fs=48_000)
    fine = np.array([np.convolve(row, taps, mode="same") for row in fine])
    direct = MelCepstrumTransformer()
    resampled = MelCepstrumTransformer(input_sample_rate=48_000)
    expected = direct.to_spectrogram(direct.fit_transform(rows))
    got = resampled.to_spectrogram(resampled.fit_transform(fine))
    below = slice(0, 230)
    difference = 10 / np.log(10) * (got - expected)[:, below]
    assert np.sqrt(np.mean(difference**2)) < 0.5


def test_sptk_windows_have_the_given_mel_cepstra():
    rng = np.random.default_rng(0)
    rows = np.stack([vowel(f0=f0, seed=s) for s, f0 in enumerate((80, 130, 220))])
    rows = np.vstack((rows, 0.01 * rng.standard_normal((1, 2400))))
    transformer = MelCepstrumTransformer().fit(rows)
    wanted = np.vstack((transformer.transform(rows), smooth_cepstra(rng, 3)))
    again = transformer.transform(transformer.inverse_transform(wanted))
    error = distortion(again - wanted)
    assert error.mean() <= 0.05
    assert error.max() <= 0.2


def test_filter_has_the_spectrum_and_the_least_delay():
    cepstra = smooth_cepstra(np.random.default_rng(0), 1)
    window = SpeechWindow(2400, RATE, RATE, 8, 512)
    impulse = np.zeros(window.n_buffer)
    impulse[window.start + 5] = 1.0
    sound = filter_excitation(window, np.tile(cepstra, (8, 1)), 0.37, impulse)
    assert not sound[: window.start + 4].round(9).any()
    response = sound[window.start + 5 :][:1024]
    power = mel_cepstrum_to_spectrum(cepstra[0], 0.37, 1024)
    np.testing.assert_allclose(np.abs(np.fft.rfft(response)) ** 2, power, rtol=1e-6)
    # The first sample of a minimum-phase response is exp(mean of ln |H|).
    omega = np.log(mel_cepstrum_to_spectrum(cepstra[0], 0.37, 4096))
    mean = (omega[0] / 2 + omega[1:-1].sum() + omega[-1] / 2) / 2048 / 2
    assert response[0] == pytest.approx(np.exp(mean), rel=1e-6)


def test_sptk_inverse_through_resampling():
    wanted = smooth_cepstra(np.random.default_rng(0), 3)
    transformer = MelCepstrumTransformer(input_sample_rate=48_000)
    transformer.fit(np.zeros((1, 9600)))
    windows = transformer.inverse_transform(wanted)
    assert windows.shape == (3, 9600)
    assert distortion(transformer.transform(windows) - wanted).mean() <= 0.05


def test_sptk_inverse_per_hop():
    # Formants that move by a third within the 40 ms.
    rng = np.random.default_rng(0)
    ends = smooth_cepstra(rng, 2)
    share = np.linspace(0, 1, 8)[:, None]
    wanted = (ends[0] * (1 - share / 3) + ends[1] * share / 3).reshape(1, -1)
    transformer = MelCepstrumTransformer(per_hop=True).fit(np.zeros((1, 2400)))
    again = transformer.transform(transformer.inverse_transform(wanted))
    assert distortion((again - wanted).reshape(8, 32)).mean() <= 0.3


def test_long_frame_periods_go_back_too():
    wanted = smooth_cepstra(np.random.default_rng(0), 1)
    transformer = MelCepstrumTransformer(frame_period=0.1).fit(np.zeros((1, 3600)))
    again = transformer.transform(transformer.inverse_transform(wanted))
    assert distortion(again - wanted).mean() <= 0.1


def test_world_inverse_of_a_steady_pulse():
    pulses = np.zeros((4, 2400))
    for row, first in zip(pulses, (0, 20, 50, 77), strict=True):
        row[first::100] = 0.3
    pole = 0.9 * np.exp(0.5j)
    rows = lfilter([1], np.poly([pole, pole.conj()]).real, pulses)
    transformer = MelCepstrumTransformer(method="world").fit(rows)
    wanted = transformer.transform(rows)
    again = transformer.transform(transformer.inverse_transform(wanted))
    assert np.median(distortion(again - wanted)) <= 0.3


def test_excitation_says_pitch_and_voicing():
    rng = np.random.default_rng(0)
    rows = np.stack([vowel(f0=100), vowel(f0=200), 0.1 * rng.standard_normal(2400)])
    transformer = MelCepstrumTransformer(excitation=True).fit(rows)
    names = list(transformer.get_feature_names_out())
    assert names[-3:] == ["log_f0", "voicing", "aperiodicity0"]
    columns = transformer.transform(rows)
    np.testing.assert_allclose(np.exp(columns[:2, 32]), [100, 200], rtol=0.02)
    np.testing.assert_array_equal(columns[:2, 33], 1)
    assert columns[2, 33] < 0.5
    assert columns[:2, 34].max() < -3
    again = transformer.transform(transformer.inverse_transform(columns))
    assert distortion((again - columns)[:, :32]).mean() <= 0.05
    np.testing.assert_allclose(np.exp(again[:2, 32]), [100, 200], rtol=0.02)
    np.testing.assert_array_equal(again[:2, 33] > 0.5, True)


def test_world_inverse_uses_the_excitation():
    rows = np.stack([vowel(f0=100), vowel(f0=200)])
    transformer = MelCepstrumTransformer(method="world", excitation=True, per_hop=True)
    columns = transformer.fit_transform(rows)
    assert columns.shape == (2, 8 * 32 + 8 * 3)
    again = transformer.transform(transformer.inverse_transform(columns))
    pitch = np.exp(again[:, 256:].reshape(2, 8, 3)[..., 0])
    np.testing.assert_allclose(pitch, [[100] * 8, [200] * 8], rtol=0.03)


def test_repeated_calls_and_processes_agree():
    rng = np.random.default_rng(0)
    rows = np.stack([vowel(), 0.1 * rng.standard_normal(2400)])
    transformer = MelCepstrumTransformer(excitation=True).fit(rows)
    first = transformer.transform(rows)
    # Memory that WORLD must not read.
    for _ in range(5):
        _ = [rng.standard_normal(size) * 1e6 for size in (257, 513, 1024, 2048)]
        np.testing.assert_array_equal(transformer.transform(rows), first)
    windows = transformer.inverse_transform(first)
    np.testing.assert_array_equal(transformer.inverse_transform(first[1:]), windows[1:])


def test_aperiodicity_is_measured_at_a_rate_that_world_can_use(monkeypatch):
    # Below 2 x 7.9 kHz D4C reads memory that it never set.
    rates = []
    d4c = pyworld.d4c

    def recorder(sound, f0, times, rate, **kwargs):
        rates.append(rate)
        return d4c(sound, f0, times, rate, **kwargs)

    monkeypatch.setattr(pyworld, "d4c", recorder)
    for rate in (12_000, 16_000):
        transformer = MelCepstrumTransformer(sample_rate=rate, excitation=True)
        transformer.fit_transform(vowel(rate=rate)[None])
    assert rates and min(rates) >= 15_800


def test_float32_and_integers():
    row = vowel()[None]
    transformer = MelCepstrumTransformer().fit(row)
    wide = transformer.transform(row)
    narrow = transformer.transform(row.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, wide, atol=1e-3)
    assert transformer.inverse_transform(narrow).dtype == np.float32
    whole = np.rint(row * 32_767)
    np.testing.assert_array_equal(
        transformer.transform(whole.astype(np.int16)), transformer.transform(whole)
    )


def test_names_and_pandas_output():
    frame = pd.DataFrame(np.ones((2, 5)), columns=list("abcde"))
    transformer = MelCepstrumTransformer(input="spectrum", n_coefficients=3)
    out = transformer.set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == ["mc0", "mc1", "mc2"]
    with pytest.raises(ValueError, match="length equal"):
        transformer.get_feature_names_out(["a"])
    hops = MelCepstrumTransformer(per_hop=True, n_coefficients=2, frame_period=0.01)
    hops.fit(np.ones((1, 100)))
    assert list(hops.get_feature_names_out()) == [
        "hop0_mc0",
        "hop0_mc1",
        "hop1_mc0",
        "hop1_mc1",
    ]
    assert hops.to_spectrogram(np.zeros((3, 4)), fft_size=64).shape == (6, 33)


def test_spectrogram_is_the_log_of_the_spectrum():
    cepstra = smooth_cepstra(np.random.default_rng(0), 4)
    transformer = MelCepstrumTransformer().fit(np.zeros((1, 2400)))
    spectrogram = transformer.to_spectrogram(cepstra)
    assert spectrogram.shape == (4, 257)
    expected = [pysptk.mc2sp(row, transformer.alpha_, 512) for row in cepstra]
    np.testing.assert_allclose(spectrogram, np.log(expected), atol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be"),
        ({"sample_rate": np.nan}, "sample_rate must be"),
        ({"sample_rate": "12k"}, "sample_rate must be"),
        ({"input_sample_rate": -1}, "input_sample_rate must be"),
        ({"n_coefficients": 0}, "n_coefficients must be"),
        ({"n_coefficients": 2.5}, "n_coefficients must be"),
        ({"alpha": 1.0}, "alpha must lie"),
        ({"input": "sound"}, "input must be one of"),
        ({"method": "htk"}, "method must be one of"),
        ({"frame_period": 0}, "frame_period must be"),
        ({"excitation": True, "input": "spectrum"}, "excitation=True needs"),
        ({"excitation": True, "sample_rate": 8000}, "excitation=True needs"),
        ({"method": "world", "sample_rate": 4000}, "needs sample_rate"),
        ({"input": "spectrum", "per_hop": True}, "cannot hold 8 envelope"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        MelCepstrumTransformer(**parameters).fit(np.ones((2, 15)))


def test_bad_input():
    transformer = MelCepstrumTransformer()
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            transformer.fit(np.array([[0.0, bad]]))
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        transformer.fit(np.zeros((0, 10)))
    transformer.fit(np.zeros((2, 100)))
    with pytest.raises(ValueError, match="expecting 100 features"):
        transformer.transform(np.zeros((2, 99)))
    with pytest.raises(ValueError, match="expecting 32 features"):
        transformer.inverse_transform(np.zeros((2, 31)))
    with pytest.raises(ValueError, match="too large"):
        transformer.inverse_transform(np.full((1, 32), 1e30))
    with pytest.raises(ValueError, match="overflow"):
        transformer.inverse_transform(
            np.array([[100.0] + [0.0] * 31], dtype=np.float32)
        )
    spectrum = MelCepstrumTransformer(input="spectrum")
    with pytest.raises(ValueError, match="Negative values"):
        spectrum.fit(np.full((2, 5), -1.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectrum_to_mel_cepstrum([-1.0, 1.0], 3, 0.3), "negative"),
        (lambda: spectrum_to_mel_cepstrum([np.nan, 1.0], 3, 0.3), "finite"),
        (lambda: spectrum_to_mel_cepstrum([1.0], 3, 0.3), "at least two bins"),
        (lambda: spectrum_to_mel_cepstrum([1.0, 1.0], -1, 0.3), "order"),
        (lambda: spectrum_to_mel_cepstrum([1.0, 1.0], 1, 1.3), "alpha"),
        (lambda: mel_cepstrum_to_spectrum([np.inf], 0.3, 8), "finite"),
        (lambda: mel_cepstrum_to_spectrum([1e30], 0.3, 8), "too large"),
        (lambda: mel_cepstrum_to_spectrum([1.0], 0.3, 7), "fft_size"),
        (lambda: mel_cepstrum_to_spectrum(1.0, 0.3, 8), "at least one"),
        (lambda: mel_cepstral_alpha(-1.0), "sample_rate"),
    ],
)
def test_functions_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_package_imports_without_the_optional_libraries():
    code = (
        "import sys, drm_transformers as d; assert len(dir(d)) > 20; "
        "d.LipDCTTransformer, d.MelCepstrumTransformer; "
        "print(sorted({'cv2', 'av', 'pysptk', 'pyworld'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert result.stdout.strip() == "[]"
    import drm_transformers

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = drm_transformers.nothing


@pytest.mark.grid
def test_real_speech_survives_the_round_trip(grid):
    from drm_transformers import read_sound

    path = sorted((grid / "clips").glob("*.mpg"))[0]
    waveform, rate = read_sound(path, sample_rate=RATE)
    assert rate == RATE
    starts = range(2400, len(waveform) - 4800, 2400)
    rows = np.stack([waveform[start : start + 2400] for start in starts])
    transformer = MelCepstrumTransformer()
    cepstra = transformer.fit_transform(rows)
    again = transformer.transform(transformer.inverse_transform(cepstra))
    assert distortion(again - cepstra).mean() <= 0.05
    # Speech moves from frame to frame by several dB, so this is not met by chance.
    assert distortion(np.diff(cepstra, axis=0)).mean() > 3
    world = MelCepstrumTransformer(method="world").fit_transform(rows)
    agreement = [np.corrcoef(cepstra[:, m], world[:, m])[0, 1] for m in range(4)]
    assert min(agreement) > 0.8

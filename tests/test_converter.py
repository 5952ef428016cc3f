"""The converter: both directions, clip means, scores, model files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from drm_transformers import synthesize
from sklearn_drm.lipspeech import (
    LipSpeechConverter,
    ModelFileError,
    evaluate,
    evaluation,
    format_table,
    model_file,
)
from sklearn_drm.lipspeech.limiter import within_full_scale
from tests.lip_clips import SETTINGS, spoken_clips, spoken_features, tiny_regressor
from tests.stand_in import RidgePair


def converter(regressor=None, **options):
    options = {"context": 2, "n_lip_components": 10, **options}
    regressor = RidgePair(alpha=100.0) if regressor is None else regressor
    return LipSpeechConverter(regressor, settings=SETTINGS, **options)


@pytest.fixture(scope="module")
def clips():
    return list(spoken_features(8, 2.0))


@pytest.fixture(scope="module")
def fitted(clips):
    return converter().fit(clips[:6])


@pytest.fixture(scope="module")
def model(clips):
    """A real model, which another process can load."""
    return converter(tiny_regressor(), context=1).fit(clips[:6])


def test_both_directions_beat_the_mean_on_new_clips(fitted, clips):
    mean, ridge, model = evaluate(fitted, clips[6:]).scores
    assert mean.r2_speech == pytest.approx(0, abs=1e-6)
    assert mean.r2_lips == pytest.approx(0, abs=1e-6)
    assert model.r2_speech > 0.2 and model.r2_pixels_within > 0.2
    assert model.mcd < mean.mcd


def test_a_ridge_as_the_model_scores_as_the_ridge_beside_it(clips):
    # Two ways to the same numbers: whole stacks by the model, cut to their middle,
    # and middles by the baseline. Any slip in the order of columns parts them.
    fitted = converter(RidgePair(alpha=1000.0)).fit(clips[:6])
    _, ridge, model = evaluate(fitted, clips[6:]).scores
    for name in ("r2_speech", "r2_speech_within", "mcd", "r2_lips", "r2_pixels"):
        assert getattr(model, name) == pytest.approx(getattr(ridge, name), abs=1e-4)


def test_scores_from_their_definition(clips):
    """R² by hand, from scikit-learn's own parts instead of the package's."""
    fitted = converter(context=0).fit(clips[:6])
    images, test_images = (
        np.concatenate([f.lips.reshape(len(f.lips), -1) for f in part]).astype(float)
        for part in (clips[:6], clips[6:])
    )
    dct = fitted.representation_.lips[0]
    pca = PCA(10, random_state=0).fit(dct.transform(images))
    scaler = StandardScaler().fit(pca.transform(dct.transform(images)))
    target = scaler.transform(pca.transform(dct.transform(test_images)))
    maps = fitted.representation_
    views = maps.as_converted(maps.views(clips[6:]))
    np.testing.assert_allclose(views.lips, target, atol=2e-3)
    cepstra, lips = fitted.predict_views(views)
    (*_, score) = evaluate(fitted, clips[6:]).scores
    raw = 1 - ((target - lips) ** 2).sum() / (target**2).sum()
    assert score.r2_lips == pytest.approx(raw, abs=1e-3)
    within_target, within_lips = target.copy(), np.array(lips, dtype=float)
    for k in np.unique(views.groups):
        rows = views.groups == k
        within_target[rows] -= target[rows].mean(axis=0)
        within_lips[rows] -= lips[rows].mean(axis=0)
    within = 1 - ((within_target - within_lips) ** 2).sum() / (within_target**2).sum()
    assert score.r2_lips_within == pytest.approx(within, abs=1e-3)
    true = fitted.representation_.mel_cepstra(views.cepstra)[:, 1:]
    made = fitted.representation_.mel_cepstra(cepstra)[:, 1:]
    distance = np.sqrt(((true - made) ** 2).sum(axis=1)).mean()
    assert score.mcd == pytest.approx(10 * np.sqrt(2) / np.log(10) * distance, rel=1e-4)


def test_nothing_of_the_test_clip_leaks_into_its_prediction(fitted, clips):
    rng = np.random.default_rng(0)
    noise = [
        replace(f, lips=rng.integers(0, 256, f.lips.shape, dtype=np.uint8))
        for f in clips[6:]
    ]
    maps = fitted.representation_
    _, lips = fitted.predict_views(maps.views(clips[6:]))
    _, lips_of_noise = fitted.predict_views(maps.views(noise))
    np.testing.assert_array_equal(lips, lips_of_noise)
    loud = [replace(f, envelope=f.envelope * 7, excitation=-f.excitation)
            for f in clips[6:]]  # fmt: skip
    cepstra, _ = fitted.predict_views(maps.views(clips[6:]))
    cepstra_of_loud, _ = fitted.predict_views(maps.views(loud))
    np.testing.assert_array_equal(cepstra, cepstra_of_loud)


def test_light_and_place_say_nothing_where_the_clip_mean_is_removed(clips):
    lips = np.clip(clips[6].lips, 0, 225)
    removed, kept = (
        np.abs(
            fitted.lips_to_speech(lips + 30).mel_cepstra
            - fitted.lips_to_speech(lips).mel_cepstra
        ).max()
        for fitted in (
            converter(remove_clip_mean=remove).fit(clips[:6])
            for remove in (True, False)
        )
    )
    # Not 0: of two offsets the one nearer to the training clips is more probable.
    assert kept > 0.1 and removed < 0.01 * kept


def test_the_face_given_is_the_face_returned(fitted, clips):
    maps = fitted.representation_
    face = np.clip(maps.mean_image * 0.5 + 60, 0, 255)
    plain = fitted.features_to_lips(clips[7]).astype(float)
    moved = fitted.features_to_lips(clips[7], face=face).astype(float)
    inside = (plain > 0) & (plain < 255) & (moved > 0) & (moved < 255)
    shift = np.broadcast_to(face - maps.mean_image, plain.shape)
    np.testing.assert_allclose((moved - plain)[inside], shift[inside], atol=1.01)
    assert np.std(moved, axis=0).max() > 2


def test_length_level_and_pauses_of_generated_speech(fitted, clips):
    clip, features = spoken_clips(8, 2.0)[7], clips[7]
    speech = fitted.lips_to_speech(features.lips)
    assert len(speech.waveform) == 24_000 and speech.sample_rate == 12_000
    assert len(fitted.lips_to_speech(features.lips, n_samples=23_456).waveform) == 23456
    level = np.sqrt(np.mean(speech.waveform**2) / np.mean(clip.waveform**2))
    assert 0.4 < level < 2.5
    true = np.array([np.sqrt(np.mean(x**2)) for x in np.split(clip.waveform, 50)])
    made = np.array([np.sqrt(np.mean(x**2)) for x in np.split(speech.waveform, 50)])
    pauses = true < 0.02 * true.max()
    assert pauses.sum() >= 5
    assert np.median(made[pauses]) < 0.1 * np.median(made[~pauses])


def test_generated_speech_has_the_power_of_the_training_clips(fitted, clips):
    cepstrum = fitted.representation_.cepstrum
    trained = [f for f in clips if f.name in fitted.clip_names_]
    made, true = (
        np.mean(np.concatenate([cepstrum.inverse_transform(c) for c in cepstra]))
        for cepstra in (
            [fitted.lips_to_speech(f.lips).mel_cepstra for f in trained],
            [cepstrum.transform(f.envelope) for f in trained],
        )
    )
    assert len(trained) > 2 and abs(fitted.gain_) < 1
    assert made == pytest.approx(true, rel=1e-3)


@given(
    arrays(float, st.integers(1, 900), elements=st.floats(-4, 4, width=16)),
    st.sampled_from([100, 8000, 12_000]),
)
def test_loud_sound_is_turned_down_and_not_cut(sound, rate):
    limited = within_full_scale(sound, rate)
    assert limited.shape == sound.shape and np.abs(limited).max() <= 1 + 1e-12
    gain = limited[sound != 0] / sound[sound != 0]
    assert (gain > 0).all() and (gain <= 1 + 1e-9).all()
    far = np.ones(len(sound), dtype=bool)
    for place in np.flatnonzero(np.abs(sound) > 1):
        reach = max(2, round(0.02 * rate) + 1)
        far[max(0, place - reach) : place + reach + 1] = False
    np.testing.assert_allclose(limited[far], sound[far], rtol=1e-12)


def test_the_gain_of_loud_sound_is_smooth():
    sound = 0.5 * np.cos(np.arange(6000) / 3)
    sound[3000] = 2.5
    gain = within_full_scale(sound, 12_000) / sound
    assert np.isclose(gain[3000], 0.4)
    assert np.abs(np.diff(gain)).max() < 0.02


def test_generated_speech_fits_into_a_file(fitted, clips, monkeypatch):
    made = []

    def loud(*arguments, **options):
        made.append(6 * synthesize(*arguments, **options))
        return made[-1]

    monkeypatch.setattr("sklearn_drm.lipspeech.converter.synthesize", loud)
    speech = fitted.lips_to_speech(clips[7].lips)
    assert np.abs(made[0]).max() > 1 + 1e-12 > np.abs(speech.waveform).max()


def test_features_alone_give_back_the_level(fitted, clips):
    clip = spoken_clips(8, 2.0)[7]
    speech = fitted.resynthesize(clips[7])
    level = np.sqrt(np.mean(speech.waveform**2) / np.mean(clip.waveform**2))
    assert len(speech.waveform) == 24_000 and 0.7 < level < 1.4


def test_restored_level_does_not_touch_the_scores(clips):
    plain, restored = (
        converter(restore_level=flag).fit(clips[:6]) for flag in (False, True)
    )
    assert evaluate(plain, clips[6:]).scores[-1].r2_speech == pytest.approx(
        evaluate(restored, clips[6:]).scores[-1].r2_speech
    )
    loudness = [c.lips_to_speech(clips[6].lips).mel_cepstra[:, 0].std()
                for c in (plain, restored)]  # fmt: skip
    assert loudness[1] > loudness[0]


def test_sound_to_lips_of_a_waveform_is_that_of_its_features(fitted, clips):
    clip = spoken_clips(8, 2.0)[7]
    lips = fitted.speech_to_lips(clip.waveform, clip.sample_rate)
    np.testing.assert_array_equal(lips, fitted.features_to_lips(clips[7]))
    odd = fitted.speech_to_lips(clip.waveform[:8000], clip.sample_rate)
    assert odd.shape == (13, 55, 55) and odd.dtype == np.uint8


@pytest.mark.parametrize("excitation", ["joint", "ridge"])
@pytest.mark.parametrize("combine", ["centre", "average"])
@pytest.mark.parametrize("context", [0, 3])
def test_every_variant_converts(clips, excitation, combine, context):
    fitted = converter(excitation=excitation, combine=combine, context=context)
    fitted.fit(clips[:6])
    assert evaluate(fitted, clips[6:]).scores[-1].r2_speech > 0.1
    assert fitted.lips_to_speech(clips[6].lips).excitation.shape == (50, 3)


def test_the_regressor_gets_whole_clips_as_groups(fitted):
    groups = fitted.regressor_.saw_groups_
    assert np.array_equal(groups, np.repeat(np.arange(6), 50))


def test_the_model_is_told_the_middle_of_its_stack(model):
    assert model.regressor_.x_target == slice(10, 20)
    assert model.regressor_.y_target == slice(35, 70)
    assert model.regressor_.random_state == 0


def test_it_is_an_estimator_that_keeps_its_parameters():
    original = converter(context=3, combine="average", random_state=5)
    copy = clone(original)
    assert copy.get_params()["context"] == 3
    assert copy.regressor.alpha == 100.0 and copy.regressor is not original.regressor


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"context": -1}, "context"),
        ({"context": 1.0}, "context"),
        ({"n_lip_components": 0}, "n_lip_components"),
        ({"n_lip_components": 2.5}, "n_lip_components"),
        ({"n_cepstra": 1}, "n_cepstra"),
        ({"excitation": "none"}, "excitation"),
        ({"combine": "both"}, "combine"),
    ],
)
def test_parameters_out_of_range(clips, options, words):
    with pytest.raises(ValueError, match=words):
        converter(**options).fit(clips[:2])


def test_more_components_than_the_cosines_that_are_usually_kept(clips):
    model = converter(context=0, n_lip_components=230).fit(clips)
    assert model.representation_.n_lips == 230


def test_features_of_other_settings_are_refused(fitted, clips):
    """16 kHz has as many bands of aperiodicity, so that nothing else would clash."""
    size = SETTINGS.size
    wide = replace(clips[0], envelope=np.ones((len(clips[0].lips), 513), np.float32))
    small = replace(clips[1], lips=clips[1].lips[:, : size - 9, : size - 9])
    for other in (wide, small):
        for use in (
            lambda other=other: converter().fit([*clips[2:4], other]),
            lambda other=other: converter().fit([other, other]),
            lambda other=other: evaluate(fitted, [clips[2], other]),
        ):
            with pytest.raises(ValueError, match=rf"{other.name}: .* settings="):
                use()


def test_evaluation_without_a_model_or_clips(fitted, clips):
    with pytest.raises(NotFittedError):
        evaluate(converter(), clips)
    with pytest.raises(ValueError, match="no clips"):
        evaluate(fitted, [])


def test_too_little_and_wrong_input(fitted, clips):
    with pytest.raises(ValueError, match="too few"):
        converter().fit([])
    with pytest.raises(ValueError, match=r"\(50, 40, 40\)"):
        fitted.lips_to_speech(clips[6].lips[:, :40, :40])
    with pytest.raises(ValueError, match="face"):
        fitted.features_to_lips(clips[6], face=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="lips"):
        fitted.lips_to_speech(clips[6].lips[:0])
    with pytest.raises(ValueError, match="NaN"):
        fitted.speech_to_lips(np.full(12_000, np.nan), 12_000)
    with pytest.raises(ValueError, match="empty"):
        fitted.speech_to_lips(np.zeros(0), 12_000)
    with pytest.raises(ValueError, match="sample_rate"):
        fitted.speech_to_lips(np.zeros(12_000), 0)


def test_silence_and_a_still_mouth_are_finite(fitted, clips):
    lips = fitted.speech_to_lips(np.zeros(12_000), 12_000)
    assert lips.shape == (25, 55, 55)
    still = np.repeat(clips[6].lips[:1], 25, axis=0)
    assert np.isfinite(fitted.lips_to_speech(still).waveform).all()


def test_silent_training_clips_can_be_fitted_and_scored(clips):
    silent = [
        replace(f, envelope=np.full_like(f.envelope, 1e-10),
                excitation=np.zeros_like(f.excitation))
        for f in clips
    ]  # fmt: skip
    fitted = converter().fit(silent[:6])
    assert np.isfinite(fitted.lips_to_speech(clips[6].lips).waveform).all()
    result = evaluate(fitted, silent[6:])
    assert result.scores[-1].speech_variance_ratio is None
    assert "DRM" in format_table(result)
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_the_perceptrons_are_scored_beside_the_model(fitted, clips):
    result = evaluate(fitted, clips[6:], train=clips[:6])
    systems = [score.system for score in result.scores]
    assert systems[2:4] == ["two MLPs, stopped on rows", "two MLPs, stopped on clips"]
    assert all(score.r2_speech > 0 for score in result.scores[2:])


def test_a_perceptron_stopped_on_clips_never_sees_the_clips_that_stop_it(monkeypatch):
    seen = []
    real = evaluation.MLPRegressor.partial_fit

    def spy(self, X, y):
        seen.append(set(X[:, 0]))
        return real(self, X, y)

    monkeypatch.setattr(evaluation.MLPRegressor, "partial_fit", spy)
    groups = np.repeat(np.arange(20), 5)
    X = np.column_stack([groups, np.sin(np.arange(100))])
    network = evaluation._fit_mlp_by_clip(X, X[:, 1:] * [[1.0, 2.0]], groups, 0)
    assert len(seen[0]) == 18 and all(clips == seen[0] for clips in seen)
    assert network.predict(X).shape == (100, 2)


def test_a_new_process_predicts_the_same(model, clips, tmp_path):
    path, lips = tmp_path / "model.joblib", clips[6].lips
    model.save(path)
    np.save(tmp_path / "lips.npy", lips)
    code = (
        "import sys\nimport numpy as np\n"
        "from sklearn_drm.lipspeech import LipSpeechConverter\n"
        "model, lips = LipSpeechConverter.load(sys.argv[1]), np.load(sys.argv[2])\n"
        "speech = model.lips_to_speech(lips)\n"
        "back = model.speech_to_lips(speech.waveform, speech.sample_rate)\n"
        "np.savez(sys.argv[3], waveform=speech.waveform, lips=back)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    files = [str(path), str(tmp_path / "lips.npy"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", code, *files], env=environment, check=True)
    speech = model.lips_to_speech(lips)
    with np.load(tmp_path / "out.npz") as made:
        np.testing.assert_array_equal(made["waveform"], speech.waveform)
        np.testing.assert_array_equal(
            made["lips"], model.speech_to_lips(speech.waveform, 12_000)
        )
    assert isinstance(joblib.load(path), LipSpeechConverter)


def saved(model, path):
    model.save(path)
    return path


def test_model_files_that_cannot_be_used(model, tmp_path):
    good = saved(model, tmp_path / "good.joblib").read_bytes()
    bad = {}
    for name, content in {
        "truncated": good[: len(good) // 2],
        "almost whole": good[:-1],
        "damaged": good[:5000] + b"\0\0\0\0" + good[5004:],
        "text": b"clip,subset\n",
        "empty": b"",
    }.items():
        bad[name] = tmp_path / f"{name}.joblib"
        bad[name].write_bytes(content)
    bad["other pickle"] = tmp_path / "list.joblib"
    joblib.dump([1, 2, 3], bad["other pickle"])
    bad["other object"] = tmp_path / "dict.joblib"
    model_file.save_model({"a": 1}, bad["other object"])
    bad["missing"] = tmp_path / "nowhere.joblib"
    bad["folder"] = tmp_path
    for name, path in bad.items():
        with pytest.raises(ModelFileError) as caught:
            LipSpeechConverter.load(path)
        message = str(caught.value)
        assert str(path) in message and "\n" not in message, name


def test_a_model_of_another_version(model, tmp_path, monkeypatch):
    from sklearn_drm.lipspeech import converter as module

    monkeypatch.setattr(module, "_FORMAT", 99)
    path = saved(model, tmp_path / "later.joblib")
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="format 99, this version"):
        LipSpeechConverter.load(path)
    # A class that is no longer there is what most other versions look like.
    monkeypatch.setattr(module.Speech, "__module__", "sklearn_drm.gone", raising=True)
    model.extra_ = module.Speech(np.zeros(1), 1, np.zeros(1), np.zeros(1))
    monkeypatch.setitem(sys.modules, "sklearn_drm.gone", module)
    path = saved(model, tmp_path / "earlier.joblib")
    del model.extra_
    monkeypatch.delitem(sys.modules, "sklearn_drm.gone")
    with pytest.raises(ModelFileError, match="another version"):
        LipSpeechConverter.load(path)


def test_an_interrupted_save_leaves_the_old_file(model, tmp_path, monkeypatch):
    path = saved(model, tmp_path / "model.joblib")
    before = path.read_bytes()

    def half(value, file, **_):
        file.write_bytes(b"half of a model")
        assert file.parent == tmp_path
        raise KeyboardInterrupt

    monkeypatch.setattr(model_file.joblib, "dump", half)
    with pytest.raises(KeyboardInterrupt):
        model.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("n_frames", [15, 30])
def test_words_cut_out_of_a_clip_are_converted_as_in_it(fitted, clips, n_frames):
    """The mean of a part is another than that of the clip; its offset is not."""
    maps = fitted.representation_
    errors = {"offset": [], "mean": []}
    for clip in clips[6:]:
        for start in range(0, len(clip.lips) - n_frames + 1, 5):
            rows = slice(start, start + n_frames)
            cut = replace(
                clip, lips=clip.lips[rows], envelope=clip.envelope[rows],
                excitation=clip.excitation[rows],
            )  # fmt: skip
            for name, ready in (("offset", maps.as_converted), ("mean", lambda v: v)):
                whole, part = (
                    fitted.predict_views(ready(maps.views([f])))[0] for f in (clip, cut)
                )
                errors[name].append(np.sqrt(np.mean((part - whole[rows]) ** 2)))
    assert np.mean(errors["offset"]) < 0.6 * np.mean(errors["mean"])


@pytest.mark.parametrize("n_pictures", [1, 2, 3, 30])
def test_few_training_pictures_convert_other_clips(clips, n_pictures):
    """Components of rounding error were scaled to 1, and other clips to 10²⁹."""
    shown = np.arange(30) * n_pictures // 30
    train = [
        replace(
            clips[0], lips=clips[0].lips[shown], envelope=clips[0].envelope[:30],
            excitation=clips[0].excitation[:30],
        )
    ]  # fmt: skip
    fitted = converter(n_lip_components=40).fit(train)
    assert fitted.representation_.n_lips == max(1, n_pictures - 1)
    assert np.isfinite(fitted.lips_to_speech(clips[6].lips).waveform).all()
    assert np.ptp(fitted.features_to_lips(clips[6])) > 0
    for score in evaluate(fitted, clips[6:]).scores:
        assert score.r2_speech > -100


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("regressor", [None, tiny_regressor()])
def test_one_component_of_the_lips(clips, regressor):
    fitted = converter(regressor, n_lip_components=1).fit(clips[:6])
    lips = fitted.features_to_lips(clips[6])
    assert lips.shape == clips[6].lips.shape and np.std(lips, axis=0).max() > 1
    scores = evaluate(fitted, clips[6:], train=clips[:1]).scores
    assert len(scores) == 5 and all(np.isfinite(s.r2_lips) for s in scores)


def test_a_conversion_is_given_what_is_scored(fitted, clips):
    maps = fitted.representation_
    views = maps.as_converted(maps.views(clips[6:]))
    one_by_one = [maps.lip_input(clip.lips) for clip in clips[6:]]
    np.testing.assert_allclose(np.concatenate(one_by_one), views.lips_in, atol=1e-5)
    kept = converter(remove_clip_mean=False).fit(clips[:6]).representation_
    views = kept.views(clips[6:])
    assert kept.as_converted(views) is views

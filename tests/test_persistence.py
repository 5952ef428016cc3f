"""Saved and restored models: joblib, skops, versions, damaged files."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drm_transformers import LipDCTTransformer, MelCepstrumTransformer
from sklearn_drm import (
    BBDRMClassifier,
    GCDRMClassifier,
    GGDRMRegressor,
    SwapViews,
    TwoViewRegressor,
    __version__,
)
from sklearn_drm.learning.feed_forward import FeedForward
from sklearn_drm.learning.parameters import FlatChain
from sklearn_drm.lipspeech.model_file import ModelFileError, load_model, save_model
from sklearn_drm.versioned import FORMAT, FormatError, VersionWarning

skops = pytest.importorskip("skops.io")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 5))
Y = X[:, :3] + RNG.normal(size=(150, 3))
OURS = re.compile(r"(sklearn_drm|drm_transformers)\.")


def fitted(fine_tune="separate", **options):
    model = GGDRMRegressor(
        n_hidden_units=6,
        fine_tune=fine_tune,
        fine_tune_epochs=3,
        x_target=slice(0, 3),
        random_state=0,
        **options,
    )
    return model.fit(X, Y)


def through_skops(model):
    data = skops.dumps(model)
    foreign = [
        name for name in skops.get_untrusted_types(data=data) if not OURS.match(name)
    ]
    assert not foreign, foreign
    return skops.loads(data, trusted=skops.get_untrusted_types(data=data))


WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "skops": through_skops,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("fine_tune", ["separate", "joint", None])
def test_a_restored_model_predicts_and_goes_on_learning_alike(way, fine_tune):
    """Restored as copies of the one parameter vector, training has no effect."""
    model = fitted(fine_tune).partial_fit(X, Y)
    model.log_partition()
    restored = way(model)
    for _ in range(2):
        np.testing.assert_array_equal(restored.predict_y(X), model.predict_y(X))
        np.testing.assert_array_equal(restored.predict_x(Y), model.predict_x(Y))
        np.testing.assert_array_equal(restored.sample_y(X), model.sample_y(X))
        np.testing.assert_allclose(
            restored.score_samples(X, Y), model.score_samples(X, Y), rtol=1e-12
        )
        before = model.predict_y(X)
        model.partial_fit(X, Y)
        restored.partial_fit(X, Y)
        assert np.abs(model.predict_y(X) - before).max() > 1e-6


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_records_of_one_vector_stay_so(way):
    model = way(fitted())
    flat, network = model._trainer.model, model._networks[0]
    assert isinstance(flat, FlatChain) and isinstance(network, FeedForward)
    flat.vector[:] = 7
    network.vector[:] = 7
    arrays = [*flat.chain.weights, *flat.chain.biases]
    for array in [*arrays, *network.weights, *network.biases]:
        assert (array == 7).all()


def test_two_view_models_need_no_foreign_trust():
    images = RNG.integers(0, 255, (60, 12, 12)).astype(np.uint8)
    sound = RNG.normal(size=(60, 2400))
    model = TwoViewRegressor(
        GGDRMRegressor(n_hidden_units=5, fine_tune_epochs=2),
        x_transformer=make_pipeline(LipDCTTransformer(), PCA(6), StandardScaler()),
        y_transformer=make_pipeline(
            MelCepstrumTransformer(n_coefficients=8), StandardScaler()
        ),
        random_state=0,
    ).fit(images, sound)
    restored = through_skops(model)
    np.testing.assert_array_equal(
        restored.predict_y(images, space="transformed"),
        model.predict_y(images, space="transformed"),
    )
    np.testing.assert_array_equal(restored.predict_x(sound), model.predict_x(sound))
    assert restored.predict_x(sound).shape == images.shape
    swapped = SwapViews(GGDRMRegressor(n_hidden_units=5, fine_tune_epochs=2)).fit(X, Y)
    np.testing.assert_array_equal(through_skops(swapped).predict(X), swapped.predict(X))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("kind", [GCDRMClassifier, BBDRMClassifier])
def test_classifiers_are_restored_too(kind, way):
    labels = np.where(X[:, 0] > 0, "right", "left")
    rows = X.clip(-2, 2) / 4 + 0.5
    model = kind(n_hidden_units=5, fine_tune_epochs=2, random_state=0)
    restored = way(model.fit(rows, labels))
    for _ in range(2):
        np.testing.assert_array_equal(
            restored.predict_proba(rows), model.predict_proba(rows)
        )
        np.testing.assert_array_equal(
            restored.predict_x(labels), model.predict_x(labels)
        )
        model.partial_fit(rows, labels)
        restored.partial_fit(rows, labels)


def test_skops_refuses_what_it_was_not_told_to_trust():
    with pytest.raises(skops.exceptions.UntrustedTypesFoundException):
        skops.loads(skops.dumps(fitted()))


@pytest.mark.parametrize(
    "way", [WAYS["pickle"], WAYS["skops"]], ids=["pickle", "skops"]
)
@pytest.mark.parametrize("version", ["0.0.1", "99.0"])
def test_another_version_warns(way, version, monkeypatch):
    from sklearn_drm import versioned

    model = fitted()
    with monkeypatch.context() as patch:
        patch.setattr(versioned, "_current", lambda: version)
        state = pickle.dumps(model)
        data = skops.dumps(model)
    with pytest.warns(VersionWarning, match=f"{version}.*{__version__}"):
        if way is WAYS["pickle"]:
            pickle.loads(state)
        else:
            skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restored = way(model)
    # The version is a matter of the file.
    assert restored.__dict__.keys() == model.__dict__.keys()


@pytest.mark.parametrize("step", [-1, 1])
def test_another_format_is_refused(step, monkeypatch, tmp_path):
    from sklearn_drm import versioned

    path = tmp_path / "model"
    with monkeypatch.context() as patch:
        patch.setattr(versioned, "FORMAT", FORMAT + step)
        data = pickle.dumps(fitted())
        save_model(fitted(), path)
    with pytest.raises(FormatError, match=f"format {FORMAT + step}.*fit the model"):
        pickle.loads(data)
    with pytest.raises(ModelFileError, match="format") as caught:
        load_model(path, GGDRMRegressor)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_the_application_warns_of_another_version(monkeypatch, tmp_path):
    from sklearn_drm import versioned

    with monkeypatch.context() as patch:
        patch.setattr(versioned, "_current", lambda: "0.0.1")
        save_model(fitted(), tmp_path / "model")
    with pytest.warns(UserWarning, match=r"model: GGDRMRegressor.*0\.0\.1"):
        load_model(tmp_path / "model", GGDRMRegressor)


def test_every_cut_or_flipped_model_file_is_one_line(tmp_path):
    path = tmp_path / "model"
    save_model(fitted(), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(whole), 40):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        for damaged in (whole[:place], bytes(flipped)):
            path.write_bytes(damaged)
            with pytest.raises(ModelFileError) as caught:
                load_model(path, GGDRMRegressor)
            assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    path.write_bytes(whole)
    # Plain joblib reads the file too.
    np.testing.assert_array_equal(
        joblib.load(path).predict(X), load_model(path, GGDRMRegressor).predict(X)
    )


@pytest.mark.parametrize("page", ["persistence.md"])
def test_the_code_of_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "user_guide" / page).read_text(
        encoding="utf-8"
    )
    code = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert code
    if "to_onnx" in text:
        pytest.importorskip("onnxruntime")
    exec(compile("\n".join(code), page, "exec"), {"__name__": page})

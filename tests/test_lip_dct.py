from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from drm_transformers import LipDCTTransformer

pixels = st.floats(-255, 255, allow_nan=False, width=32)


@st.composite
def image_stacks(draw):
    shape = draw(
        st.tuples(*[st.integers(1, top) for top in (4, 3, 7, 7)]), label="n,t,H,W"
    )
    return draw(arrays(np.float64, shape, elements=pixels))


def cosine_matrix(size: int) -> np.ndarray:
    """Orthonormal DCT-II by its definition, one basis vector per row."""
    u, i = np.mgrid[:size, :size]
    basis = np.cos(np.pi * u * (2 * i + 1) / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis


@pytest.mark.parametrize(
    "transformer",
    [LipDCTTransformer(), LipDCTTransformer(n_coefficients=1)],
    ids=["default", "one_coefficient"],
)
def test_scikit_learn_checks(transformer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(transformer, on_fail=None)
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    assert len(results) > 40
    assert failed == []


@settings(deadline=None, max_examples=40)
@given(image_stacks())
def test_coefficients_are_cosine_products(images):
    n, t, height, width = images.shape
    dct = LipDCTTransformer()
    got = dct.fit_transform(images).reshape(n, t, -1)
    expected = cosine_matrix(height) @ images @ cosine_matrix(width).T
    u, v = dct.coefficient_indices_.T
    np.testing.assert_allclose(got, expected[:, :, u, v], atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(image_stacks())
def test_all_coefficients_keep_energy_and_image(images):
    dct = LipDCTTransformer()
    coefficients = dct.fit_transform(images)
    energy = np.sum(images**2, axis=(1, 2, 3))
    np.testing.assert_allclose(np.sum(coefficients**2, 1), energy, atol=1e-6, rtol=1e-9)
    np.testing.assert_allclose(dct.inverse_transform(coefficients), images, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(image_stacks(), st.data())
def test_kept_coefficients_survive_the_round_trip(images, data):
    count = data.draw(st.integers(1, images.shape[2] * images.shape[3]))
    dct = LipDCTTransformer(n_coefficients=count).fit(images)
    shape = (3, images.shape[1] * count)
    wanted = data.draw(arrays(np.float64, shape, elements=pixels))
    again = dct.transform(dct.inverse_transform(wanted))
    np.testing.assert_allclose(again, wanted, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(image_stacks(), pixels, st.data())
def test_linear_and_row_by_row(images, factor, data):
    other = data.draw(arrays(np.float64, images.shape, elements=pixels))
    dct = LipDCTTransformer(n_coefficients=1 + images[0, 0].size // 2).fit(images)
    both = dct.transform(images + factor * other)
    apart = dct.transform(images) + factor * dct.transform(other)
    np.testing.assert_allclose(both, apart, atol=1e-6)
    order = data.draw(st.permutations(range(len(images))))
    np.testing.assert_array_equal(
        dct.transform(images[order]), dct.transform(images)[order]
    )
    np.testing.assert_array_equal(
        np.vstack([dct.transform(row[None]) for row in images]), dct.transform(images)
    )


def test_many_rows_equal_one_at_a_time():
    # More pixels than one block holds.
    images = np.random.default_rng(0).integers(0, 256, (1500, 55, 55), dtype=np.uint8)
    dct = LipDCTTransformer().fit(images)
    whole = dct.transform(images)
    alone = dct.transform(images[[0, 1321, 1322, 1499]])
    np.testing.assert_array_equal(whole[[0, 1321, 1322, 1499]], alone)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(
        dct.inverse_transform(whole)[1322], dct.inverse_transform(alone)[2]
    )


def test_zigzag_order_is_that_of_jpeg():
    dct = LipDCTTransformer(image_shape=(3, 3)).fit(np.zeros((2, 9)))
    expected = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (1, 2), (2, 1), (2, 2)]
    assert [tuple(index) for index in dct.coefficient_indices_] == expected
    tall = LipDCTTransformer().fit(np.zeros((2, 5, 2)))
    diagonals = tall.coefficient_indices_.sum(axis=1)
    assert (np.diff(diagonals) >= 0).all()
    assert len({tuple(index) for index in tall.coefficient_indices_}) == 10


def test_default_count_is_twenty_diagonals():
    dct = LipDCTTransformer().fit(np.zeros((2, 55, 55)))
    assert len(dct.coefficient_indices_) == 210
    assert dct.coefficient_indices_.sum(axis=1).max() == 19


@pytest.mark.parametrize(
    ("shape", "given_shape", "image_shape", "n_frames"),
    [
        ((2, 25), None, (5, 5), 1),
        ((2, 26), None, (1, 26), 1),
        ((2, 24), (4, 6), (4, 6), 1),
        ((2, 48), (4, 6), (4, 6), 2),
        ((2, 4, 6), None, (4, 6), 1),
        ((2, 3, 4, 6), None, (4, 6), 3),
        ((2, 3, 4, 6), (4, 6), (4, 6), 3),
    ],
)
def test_image_shape(shape, given_shape, image_shape, n_frames):
    images = np.random.default_rng(0).normal(size=shape)
    dct = LipDCTTransformer(image_shape=given_shape).fit(images)
    assert dct.image_shape_ == image_shape
    assert dct.n_frames_ == n_frames
    assert dct.n_features_in_ == np.prod(shape[1:])
    coefficients = dct.transform(images)
    assert coefficients.shape == (2, len(dct.get_feature_names_out()))
    assert dct.inverse_transform(coefficients).shape == shape
    np.testing.assert_array_equal(dct.transform(images.reshape(2, -1)), coefficients)


def test_same_coefficients_for_every_layout_of_the_memory(tmp_path):
    images = np.random.default_rng(0).integers(0, 2, (4, 6, 6))
    dct = LipDCTTransformer().fit(images)
    expected = dct.transform(images.astype(np.float64))
    path = tmp_path / "images.npy"
    np.save(path, images.astype(np.float64))
    for same in (
        images,
        images.astype(bool),
        images.astype(np.uint8),
        np.asfortranarray(images),
        images.tolist(),
        np.load(path, mmap_mode="r"),
    ):
        np.testing.assert_allclose(dct.transform(same), expected, atol=1e-12)


def test_float32_stays_float32():
    images = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    dct = LipDCTTransformer().fit(images)
    coefficients = dct.transform(images)
    assert coefficients.dtype == np.float32
    assert dct.inverse_transform(coefficients).dtype == np.float32
    wide = dct.transform(images.astype(np.float64))
    np.testing.assert_allclose(coefficients, wide, atol=1e-5)


def test_names_and_pandas_output():
    frame = pd.DataFrame(np.ones((3, 4)), columns=list("abcd"), index=[7, 8, 9])
    dct = LipDCTTransformer().set_output(transform="pandas")
    out = dct.fit_transform(frame)
    assert list(out.columns) == ["dct_0_0", "dct_0_1", "dct_1_0", "dct_1_1"]
    assert list(out.index) == [7, 8, 9]
    np.testing.assert_allclose(out["dct_0_0"], 2.0)
    assert list(dct.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="length equal"):
        dct.get_feature_names_out(["a"])
    with pytest.raises(ValueError, match="not equal to feature_names_in_"):
        dct.get_feature_names_out(list("abce"))
    two = LipDCTTransformer(n_coefficients=1).fit(np.ones((3, 2, 4, 4)))
    assert list(two.get_feature_names_out()) == ["frame0_dct_0_0", "frame1_dct_0_0"]


def test_pipeline_with_pca_goes_back_to_images():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(3, 9, 9))
    images = np.tensordot(rng.normal(size=(30, 3)), basis, 1)
    pipeline = make_pipeline(LipDCTTransformer(), PCA(3))
    back = pipeline.inverse_transform(pipeline.fit_transform(images))
    np.testing.assert_allclose(back, images, atol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_coefficients": 0}, "n_coefficients must be"),
        ({"n_coefficients": 17}, "1 to 16"),
        ({"n_coefficients": 2.0}, "n_coefficients must be"),
        ({"n_coefficients": True}, "n_coefficients must be"),
        ({"image_shape": (3, 5)}, "does not fit"),
        ({"image_shape": (4,)}, "two positive integers"),
        ({"image_shape": (4, -4)}, "two positive integers"),
    ],
)
def test_bad_parameters(parameters, message):
    dct = LipDCTTransformer(**parameters)
    with pytest.raises(ValueError, match=message):
        dct.fit(np.zeros((2, 16)))
    assert clone(dct).get_params() == dct.get_params()


def test_bad_input():
    dct = LipDCTTransformer()
    with pytest.raises(NotFittedError):
        dct.transform(np.zeros((2, 4)))
    for bad in (np.nan, np.inf):
        images = np.zeros((2, 4, 4))
        images[1, 2, 3] = bad
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            dct.fit(images)
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        dct.fit(np.zeros((0, 4, 4)))
    dct.fit(np.zeros((2, 4, 6)))
    with pytest.raises(ValueError, match="6 x 4 pixels"):
        dct.transform(np.zeros((2, 6, 4)))
    with pytest.raises(ValueError, match="expecting 24 features"):
        dct.transform(np.zeros((2, 25)))
    with pytest.raises(ValueError, match="expecting 24 features"):
        dct.transform(np.zeros((2, 2, 4, 6)))
    with pytest.raises(ValueError, match="expecting 24 features"):
        dct.inverse_transform(np.zeros((2, 23)))


def test_huge_values_are_exact_or_refused():
    images = np.full((2, 4, 4), 1e30)
    dct = LipDCTTransformer().fit(images)
    np.testing.assert_allclose(dct.transform(images)[:, 0], 4e30)
    with pytest.raises(ValueError, match="overflow"):
        dct.transform(np.full((2, 4, 4), 3e38, dtype=np.float32))
    with pytest.raises(ValueError, match="overflow"):
        dct.inverse_transform(np.full((2, 16), 1e308))


@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_pictures_with_channels_are_not_taken_for_frames(n_channels):
    pictures = np.zeros((5, 55, 60, n_channels))
    with pytest.raises(ValueError, match="look like pictures with channels"):
        LipDCTTransformer().fit(pictures)
    frames = LipDCTTransformer(image_shape=(60, n_channels)).fit(pictures)
    assert frames.n_frames_ == 55
    assert LipDCTTransformer().fit(np.zeros((5, 3, 55, 60))).n_frames_ == 3


def test_an_image_shape_that_is_one_number_is_named():
    with pytest.raises(ValueError, match="two positive integers"):
        LipDCTTransformer(image_shape=8).fit(np.zeros((3, 64)))

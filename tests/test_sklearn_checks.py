"""scikit-learn's own checks, in both directions, counted.

``python -m tests.test_sklearn_checks`` prints the counts of every estimator.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections import Counter

import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from drm_transformers import LipDCTTransformer, MelCepstrumTransformer
from sklearn_drm import BBDRMClassifier, GCDRMClassifier, GGDRMRegressor
from sklearn_drm.swap_views import SwapViews
from sklearn_drm.two_view import TwoViewRegressor
from tests.stand_in import RidgePair

WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
ROWS_ARE_SAMPLED = {WEIGHTS: "a fit that draws rows cannot meet rtol 1e-7"}
NO_WEIGHTS = {WEIGHTS: "transformers see no sample_weight"}
# Runs where the environment has SCIPY_ARRAY_API=1 from the start.
MAY_SKIP = {
    "check_array_api_input",
    # Classifiers here have probabilities and no decision function.
    "check_classifiers_multilabel_output_format_decision_function",
}


def with_scalers(regressor):
    return TwoViewRegressor(
        regressor, x_transformer=StandardScaler(), y_transformer=StandardScaler()
    )


EXACT = {
    "TwoViewRegressor(RidgePair)": (TwoViewRegressor(RidgePair()), {}),
    "SwapViews(RidgePair)": (SwapViews(RidgePair()), {}),
    "SwapViews(TwoViewRegressor(RidgePair))": (
        SwapViews(TwoViewRegressor(RidgePair())),
        {},
    ),
    "TwoViewRegressor(SwapViews(RidgePair))": (
        TwoViewRegressor(SwapViews(RidgePair())),
        {},
    ),
    "TwoViewRegressor(RidgePair, scalers)": (with_scalers(RidgePair()), NO_WEIGHTS),
    "SwapViews(TwoViewRegressor(RidgePair, scalers))": (
        SwapViews(with_scalers(RidgePair())),
        NO_WEIGHTS,
    ),
}
# What is around the model is checked with one that learns less and faster.
QUICK = GGDRMRegressor(n_hidden_units=30, fine_tune_epochs=15)
SAMPLED = {
    "GGDRMRegressor": GGDRMRegressor(),
    "SwapViews(GGDRMRegressor)": SwapViews(QUICK),
    "TwoViewRegressor(GGDRMRegressor)": TwoViewRegressor(QUICK),
    "SwapViews(TwoViewRegressor(GGDRMRegressor))": SwapViews(TwoViewRegressor(QUICK)),
    "TwoViewRegressor(GGDRMRegressor, scalers)": with_scalers(QUICK),
    "BBDRMClassifier": BBDRMClassifier(),
    "GCDRMClassifier": GCDRMClassifier(),
}


def run_checks(estimator, expected):
    """Results of every check, none of them raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check_estimator(
            estimator, expected_failed_checks=expected, on_skip=None, on_fail=None
        )


def counts(results):
    """``passed 59, skipped 1``, for the documentation."""
    found = Counter(result["status"] for result in results)
    statuses = ("passed", "xfail", "skipped", "failed")
    return ", ".join(f"{status} {found[status]}" for status in statuses)


def assert_clean(results):
    failed = {
        result["check_name"]: repr(result["exception"])
        for result in results
        if result["status"] == "failed"
    }
    assert not failed, failed
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= MAY_SKIP
    assert len(results) >= 50  # an estimator whose checks were lost passes them all


@pytest.mark.parametrize("name", EXACT)
def test_checks_around_a_closed_form_regressor(name):
    estimator, expected = EXACT[name]
    results = run_checks(estimator, expected)
    assert_clean(results)
    failed_as_expected = [r for r in results if r["status"] == "xfail"]
    assert len(failed_as_expected) == len(expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_checks_around_the_model(name):
    assert_clean(run_checks(SAMPLED[name], ROWS_ARE_SAMPLED))


@pytest.mark.slow
def test_the_array_api_check_where_it_can_run():
    # scipy reads the variable when it is imported, hence another process.
    code = (
        "from tests.test_sklearn_checks import EXACT, run_checks\n"
        "for name, (estimator, expected) in list(EXACT.items())[:3]:\n"
        "    results = run_checks(estimator, expected)\n"
        "    assert {r['status'] for r in results} == {'passed'}, name\n"
    )
    path = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-c", path + code], check=True, env=environment)


def main():
    # The transformers' checks are in tests of their own.
    transformers = (LipDCTTransformer(), MelCepstrumTransformer())
    every = {
        **EXACT,
        **{name: (model, ROWS_ARE_SAMPLED) for name, model in SAMPLED.items()},
        **{type(part).__name__: (part, {}) for part in transformers},
    }
    for name, (estimator, expected) in every.items():
        print(f"{name}: {counts(run_checks(estimator, expected))}", flush=True)


if __name__ == "__main__":
    main()

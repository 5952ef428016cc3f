"""What is installed, and what importing it loads and costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "av", "cv2", "matplotlib", "onnx", "onnxruntime", "pandas", "pysptk", "pyworld",
    "skl2onnx", "skops", "tqdm",
}  # fmt: skip


def python(code, **environment):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "transformers")])
    reply = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return reply.stdout


def test_fit_and_predict_load_no_library_of_an_extra():
    code = """
import sys
import numpy as np
import sklearn.base, sklearn.metrics, sklearn.linear_model, sklearn.model_selection
before = set(sys.modules)
from sklearn_drm import GGDRMRegressor, SwapViews, TwoViewRegressor
import sklearn_drm.metrics, drm_transformers
X = np.random.default_rng(0).normal(size=(30, 3))
model = GGDRMRegressor(n_hidden_units=3, fine_tune_epochs=1)
TwoViewRegressor(model).fit(X, X).predict_x(X)
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    assert not HEAVY & set(python(code).split())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("import sklearn", "import sklearn_drm"),
        (
            "import sklearn.linear_model, sklearn.model_selection, sklearn.pipeline",
            "from sklearn_drm import GGDRMRegressor, SwapViews, TwoViewRegressor",
        ),
    ],
    ids=["package", "estimators"],
)
def test_importing_adds_little_to_scikit_learn(first, then):
    code = f"""
import time
{first}
start = time.perf_counter()
{then}
print(time.perf_counter() - start)
"""
    # Other work on the machine only adds: the least of some runs is the cost.
    assert any(float(python(code)) < 0.15 for _ in range(5))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and source distribution; the wheel is built from the latter."""
    folder = tmp_path_factory.mktemp("dist")
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    subprocess.run([*build, "-t", "wheel"], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel, source


@pytest.mark.slow
def test_the_wheel_holds_both_packages_and_no_other_name(built):
    wheel, source = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"sklearn_drm", "drm_transformers"}
    for package in (ROOT / "sklearn_drm", ROOT / "transformers" / "drm_transformers"):
        for path in package.rglob("*"):
            if path.suffix == ".py" or path.name == "py.typed":
                assert str(path.relative_to(package.parent)) in names
    for name in ("tests", "docs", "benchmarks", "README.md", "LICENSE", "Makefile"):
        assert (source / name).exists(), name


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_environment(built, tmp_path):
    """Its own files alone; numpy, scipy and scikit-learn come from this environment."""
    wheel, source = built
    venv.create(tmp_path / "env", with_pip=False)
    binary = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    import sklearn

    # On PYTHONPATH, so that no .pth file there leads back to the source tree.
    libraries = Path(sklearn.__file__).parents[1]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY - {"pandas"}}))  # as if no extra were installed
import numpy as np, pathlib, sklearn_drm, drm_transformers, joblib
from sklearn_drm import GGDRMRegressor
X = np.random.default_rng(0).normal(size=(200, 3))
model = GGDRMRegressor(n_hidden_units=10, random_state=0).fit(X, X[:, :2])
joblib.dump(model, "model.joblib")
model = joblib.load("model.joblib")
assert model.score(X, X[:, :2]) > 0.5 and model.predict_x(X[:, :2]).shape == X.shape
drm_transformers.LipDCTTransformer().fit(X)
print(pathlib.Path(sklearn_drm.__file__).parents[1])
print(pathlib.Path(drm_transformers.__file__).parents[1])
"""
    paths = os.pathsep.join([str(site), str(libraries)])
    reply = subprocess.run(
        [str(binary / "python"), "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert reply.returncode == 0, reply.stderr
    assert set(reply.stdout.split()) == {str(site)}

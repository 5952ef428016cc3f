"""The benchmark scripts run, score every system and write what they found."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import simpson
from sklearn.mixture import GaussianMixture
from sklearn.neural_network import MLPRegressor

from sklearn_drm import GGDRMRegressor
from sklearn_drm.metrics import pooled_r2
from tests.lip_clips import BOX, spoken_clips, write_clips

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Import a script as Python does when it is run: from its own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def write_folder(folder, clips, n_test):
    """The clips, and a split whose first few are for testing."""
    (folder / "clips").mkdir()
    paths = write_clips(folder / "clips", clips)
    rows = [
        f"{p.stem},{'test' if i < n_test else 'train'}" for i, p in enumerate(paths)
    ]
    text = "\n".join(["clip,subset", *rows]) + "\n"
    (folder / "split.csv").write_text(text, encoding="utf-8")


def check_results(path, results, n_tables, scores):
    assert len(results["tables"]) == n_tables
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(
        json.dumps(results)
    )
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    for table in results["tables"]:
        systems = table["systems"]
        assert len({entry["system"] for entry in systems}) == len(systems) >= 13
        for entry in systems:
            assert f"| {entry['system']} " in text
            for name in ("fit_seconds", *scores):
                assert math.isfinite(entry["summary"][name]["median"]), entry
        with_density = {
            entry["system"] for entry in systems if "log_likelihood" in entry["summary"]
        }
        assert {"mean", "joint GMM, 2 full", "DRM, joint fine-tuning"} <= with_density
        for entry in systems:
            if entry["system"] in with_density:
                assert math.isfinite(entry["summary"]["log_likelihood"]["median"])
        mean = next(entry for entry in systems if entry["system"] == "mean")
        assert mean["summary"][scores[0]]["median"] == pytest.approx(0, abs=0.01)
        assert {ratio["over"] for ratio in table["ratios"]} == {
            entry["system"] for entry in systems if entry["kind"] == "perceptrons"
        }
    run = results["run"]
    assert run["processor"] and run["versions"]["numpy"] == np.__version__
    assert run["vector_instructions"]
    assert str(path.parent) not in path.read_text(encoding="utf-8") + text


def test_bench_grid(script, tmp_path):
    write_folder(tmp_path, spoken_clips(5, 0.8), n_test=2)
    output = tmp_path / "out" / "grid.json"
    results = script("bench_grid").main(
        [str(tmp_path), "--box", BOX, "--quick", "--jobs", "1", "--context", "0", "1"]
        + ["--cache", str(tmp_path / "cache"), "-o", str(output)]
    )
    assert results["clips"] == {"train": 3, "test": 2}
    assert [t["clip_mean_removed"] for t in results["tables"]] == [False, True]
    scores = ("r2_speech", "r2_lips", "mcd", "variance_speech", "variance_lips")
    check_results(output, results, 2, scores)


def test_bench_averaging(script, tmp_path):
    write_folder(tmp_path, spoken_clips(6, 0.8), n_test=2)
    output = tmp_path / "averaging.json"
    results = script("bench_averaging").main(
        [str(tmp_path), "--box", BOX, "--test", "--epochs", "2", "--units", "6"]
        + ["--cache", str(tmp_path / "cache"), "-o", str(output)]
    )
    assert results["n_clips"] == [4, 2]
    assert json.loads(output.read_text(encoding="utf-8")) == results
    chains = [entry["chain"] for entry in results["speech"]]
    assert chains == [entry["chain"] for entry in results["lips"]]
    assert {"mean", "mean + GV", "MLPG", "MLPG + MS", "a random draw"} <= set(chains)
    for entry in results["speech"] + results["lips"]:
        assert all(math.isfinite(v) for v in entry.values() if v != entry["chain"])
    assert results["speech"][0]["mcd_over_mean"] == 0
    text = output.with_suffix(".md").read_text(encoding="utf-8")
    assert all(f"| {chain} " in text for chain in chains)
    assert str(tmp_path) not in text


def test_bench_uncertainty(script, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    write_clips(clips, spoken_clips(5, 0.8))
    output = tmp_path / "uncertainty.json"
    results = script("bench_uncertainty").main(
        [str(tmp_path), "--box", BOX, "--quick", "--jobs", "1", "--context", "0", "1"]
        + ["--cache", str(tmp_path / "cache"), "-o", str(output)]
    )
    assert json.loads(output.read_text(encoding="utf-8")) == json.loads(
        json.dumps(results)
    )
    names = [entry["system"] for entry in results["systems"]]
    assert names == ["no context", "±1 frames"]
    for entry in results["systems"]:
        for view in ("speech", "lips"):
            figures = {k: entry["summary"][f"{k}_{view}"] for k in ("z2", "variance")}
            assert all(0 < figure["median"] < 100 for figure in figures.values())


def test_bench_pauses(script, tmp_path):
    write_folder(tmp_path, spoken_clips(6, 0.8), n_test=2)
    (tmp_path / "align").mkdir()
    for clip in (tmp_path / "clips").iterdir():
        (tmp_path / "align" / f"{clip.stem}.align").write_text(
            "0 5000 sil\n5000 15000 bin\n15000 20000 sil\n", encoding="utf-8"
        )
    common = [str(tmp_path), "--box", BOX, "--quick", "--jobs", "1"]
    common += ["--cache", str(tmp_path / "cache")]
    for options, n_clips in (([], {"train": 3, "scored": 1}), (["--test"], None)):
        output = tmp_path / f"pauses{len(options)}.json"
        results = script("bench_pauses").main([*common, *options, "-o", str(output)])
        assert json.loads(output.read_text(encoding="utf-8")) == json.loads(
            json.dumps(results)
        )
        assert results["clips"] == (n_clips or {"train": 4, "scored": 2})
        names = [entry["system"] for entry in results["systems"]]
        assert names == ["offsets (default)", "means", "nothing"]
        for entry in results["systems"]:
            for name in ("whole", "cut"):
                assert 0 < entry["summary"][name]["median"] < 30


def test_bench_recipe(script, tmp_path):
    write_folder(tmp_path, spoken_clips(8, 0.6), n_test=2)
    output = tmp_path / "recipe.json"
    results = script("bench_recipe").main(
        [str(tmp_path), "--box", BOX, "--quick", "--jobs", "1", "--context", "0", "1"]
        + ["--cache", str(tmp_path / "cache"), "-o", str(output)]
    )
    assert json.loads(output.read_text(encoding="utf-8")) == results
    assert results["clips"] == 6
    text = output.with_suffix(".md").read_text(encoding="utf-8")
    for table in results["tables"]:
        names = [entry["system"] for entry in table["variants"]]
        assert names[0] == "default" and "logistic" in names[-1]
        for entry in table["variants"]:
            assert f"| {entry['system']} " in text
            assert math.isfinite(entry["summary"]["r2_speech"]["median"])
    assert str(tmp_path) not in text


def test_recipes_are_compared_on_other_training_clips(script):
    recipe = script("bench_recipe")
    names = list(range(30))
    parts = [recipe.split_clips(names, number) for number in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    for kept, held in parts:
        assert len(held) == 5
        assert sorted(kept + held) == names


@pytest.mark.parametrize("context", [False, True])
def test_each_recipe_changes_something(script, context):
    default = GGDRMRegressor()
    seen = []
    for variant in script("bench_recipe").variants():
        if context not in variant.contexts:
            continue
        changes = variant.changes
        assert changes not in seen
        seen.append(changes)
        assert variant.name == "default" or changes
        assert all(getattr(default, name) != value for name, value in changes.items())


def test_bench_tabular(script, tmp_path):
    output = tmp_path / "tabular.json"
    results = script("bench_tabular").main(["--quick", "-o", str(output)])
    check_results(output, results, 2, ("r2_y", "r2_x", "variance_y", "variance_x"))


def test_conditional_mean_of_mixture(script):
    rng = np.random.default_rng(0)
    x = rng.choice([-2.0, 1.0], 400) + rng.normal(size=400)
    rows = np.column_stack([x, np.sin(x) + 0.3 * rng.normal(size=400)])
    mixture = GaussianMixture(3, random_state=0).fit(rows)
    given, grid = np.array([[-2.5], [0.0], [1.7]]), np.linspace(-8, 8, 4001)
    predicted = script("_systems").conditional_mean(
        mixture, given, np.array([0]), np.array([1])
    )
    for value, mean in zip(given[:, 0], predicted[:, 0], strict=True):
        pairs = np.column_stack([np.full_like(grid, value), grid])
        density = np.exp(mixture.score_samples(pairs))
        expected = simpson(density * grid, x=grid) / simpson(density, x=grid)
        assert mean == pytest.approx(expected, abs=1e-6)


def test_stopping_by_group_keeps_the_best_weights(script):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    y = x[:, :2] + rng.normal(size=(200, 2))
    groups = np.repeat(np.arange(20), 10)
    network = MLPRegressor(
        hidden_layer_sizes=(30,), learning_rate_init=0.05, random_state=0
    )
    scores = []
    step = network.partial_fit

    def recorded(X, Y):
        step(X, Y)
        held = ~np.isin(x[:, 0], X[:, 0])
        assert len(np.unique(groups[held])) == 2 and held.sum() == 20
        scores.append(pooled_r2(y[held], network.predict(x[held])))
        recorded.held = held

    network.partial_fit = recorded
    fitted = script("_systems").stop_by_group(network, x, y, groups, 3)
    held = recorded.held
    assert len(scores) < network.max_iter and scores[-1] < max(scores)
    assert pooled_r2(y[held], fitted.predict(x[held])) == pytest.approx(max(scores))


def test_median_spread_and_ratios(script):
    tables = script("_tables")
    ours, other, weak = (tables.Runs(name) for name in ("ours", "other", "weak"))
    ours.runs = [{"r2": 0.2, "s": 1.0}, {"r2": 0.4, "s": 3.0}, {"r2": 0.3, "s": 2.0}]
    other.runs = [{"r2": 0.2, "s": 4.0}]
    weak.runs = [{"r2": -0.1, "s": 1.0}]
    assert ours.cell("r2", 2) == "0.30 [0.20, 0.40]"
    assert other.cell("r2", 1) == "0.2" and other.cell("missing", 1) == "–"
    best, worst = tables.compare(ours, [weak, other], ["r2"], seconds="s")
    assert best == {"over": "other", "r2": pytest.approx(1.5), "s": pytest.approx(0.5)}
    assert worst["over"] == "weak" and worst["r2"] is None


@pytest.mark.slow
def test_digits_benchmark_compares_with_the_better_perceptron(script, tmp_path):
    path = tmp_path / "digits.json"
    results = script("bench_digits").main(["--quick", "--jobs", "1", "-o", str(path)])
    assert json.loads(path.read_text(encoding="utf-8"))["tables"] == results["tables"]
    for part in results["tables"]:
        rows = {row["system"]: row for row in part["table"]}
        best = rows[part["best"]]
        assert best["error"] == min(
            rows[f"MLP {a}"]["error"] for a in ("logistic", "relu")
        )
        for row in rows.values():
            paired = np.subtract(row["errors"], best["errors"])
            assert row["difference"] == pytest.approx(paired.mean(), abs=0.01)
            assert row["error"] == pytest.approx(np.mean(row["errors"]), abs=0.01)
    assert len(results["full_size"]) == 6
    assert all(0 <= row["samples"] <= 1 for row in results["recognised"])

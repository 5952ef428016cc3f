"""The experiment: interruptions, changes, figures against oracles, its report."""

from __future__ import annotations

import ast
import builtins
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge

import sklearn_drm
from sklearn_drm.lipspeech import experiment, experiment_command, experiment_scores
from sklearn_drm.lipspeech.alignments import (
    AlignmentError,
    Word,
    find_alignments,
    read_alignment,
    spoken_part,
)
from sklearn_drm.lipspeech.cli import main
from sklearn_drm.lipspeech.experiment import run_experiment
from sklearn_drm.lipspeech.experiment_report import write_results
from sklearn_drm.lipspeech.experiment_scores import read_target, waveform_of
from sklearn_drm.lipspeech.experiment_store import ResultStore
from sklearn_drm.lipspeech.feature_cache import Loaded, load_features
from sklearn_drm.lipspeech.intelligibility import (
    lip_similarity,
    speech_intelligibility,
)
from sklearn_drm.lipspeech.representation import fit_representation
from tests.lip_clips import BOX, SETTINGS, spoken_clips, spoken_features, write_clips
from tests.test_report import EVIL, Page

FITS: list[str] = []


class Stub(BaseEstimator):
    """A ridge in both directions that writes down that it was fitted."""

    def __init__(self, name="stub", alpha=10.0, fault=None):
        self.name, self.alpha, self.fault = name, alpha, fault

    def fit(self, X, y, groups):
        FITS.append(self.name)
        if self.fault is not None:
            raise self.fault
        self.groups_ = groups
        self.speech_, self.lips_ = Ridge(self.alpha).fit(X, y), Ridge().fit(y, X)
        return self

    def predict_y(self, X, groups):
        return self.speech_.predict(X)

    def predict_x(self, y, groups):
        return self.lips_.predict(y)


class Lips(BaseEstimator):
    """The mean of the lips, and no speech."""

    def fit(self, X, y, groups):
        FITS.append("lips")
        self.width_ = X.shape[1]
        return self

    def predict_x(self, y, groups):
        return np.zeros((len(y), self.width_))


class Wrong(Stub):
    def predict_y(self, X, groups):
        return self.speech_.predict(X) * np.nan


@pytest.fixture(autouse=True)
def no_fits():
    FITS.clear()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    (folder / "align").mkdir()
    paths = write_clips(folder / "clips", spoken_clips())
    rows = [f"{p.stem},{'test' if k > 3 else 'train'}" for k, p in enumerate(paths)]
    (folder / "split.csv").write_text("\n".join(["clip,subset", *rows]))
    for path in paths[4:]:
        text = "0 5000 sil\n5000 15000 spoken\n15000 20000 <b>\n20000 30000 sil\n"
        (folder / "align" / f"{path.stem}.align").write_text(text)
    return folder


@pytest.fixture
def clips(files):
    paths = sorted((files / "clips").iterdir())
    features = list(spoken_features())
    return Loaded(features[:4], paths[:4], []), Loaded(features[4:], paths[4:], [])


def run(systems, clips, folder, **options):
    settings = {"settings": SETTINGS, "n_lips": 8, "n_jobs": 1, "tell": str, **options}
    return run_experiment(systems, *clips, folder, **settings)


def figures(result):
    return {key: figure.value for key, figure in result.figures.items()}


def test_an_interrupted_run_goes_on_where_it_stopped(clips, tmp_path):
    systems = {
        "a": Stub("a"),
        "b": Stub("b", fault=KeyboardInterrupt()),
        "c": Stub("c"),
    }
    with pytest.raises(KeyboardInterrupt):
        run(systems, clips, tmp_path)
    assert FITS == ["a", "b"]
    systems["b"] = Stub("b")
    resumed = run(systems, clips, tmp_path)
    assert FITS == ["a", "b", "b", "c"]
    whole = run(systems, clips, tmp_path)
    assert FITS == ["a", "b", "b", "c"]
    for first, second in zip(resumed.results, whole.results, strict=True):
        assert figures(first) == figures(second)
        assert first.predictions.fit_seconds == second.predictions.fit_seconds


def test_a_damaged_result_is_made_again(clips, tmp_path):
    run({"a": Stub("a")}, clips, tmp_path)
    (kept,) = tmp_path.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:-2000])
    run({"a": Stub("a")}, clips, tmp_path)
    assert FITS == ["a", "a"]


@pytest.mark.parametrize("change", ["clip", "parameter", "n_lips", "code"])
def test_what_a_result_was_made_from_counts(clips, tmp_path, change, monkeypatch):
    system, options = Stub("a"), {}
    run({"a": system}, clips, tmp_path)
    if change == "clip":
        features = list(clips[0].features)
        lips = features[0].lips.copy()
        lips[3, 7, 7] ^= 1
        features[0] = replace(features[0], lips=lips)
        clips = replace(clips[0], features=features), clips[1]
    elif change == "parameter":
        system = Stub("a", alpha=11.0)
    elif change == "n_lips":
        options["n_lips"] = 7
    else:
        monkeypatch.setattr(
            "sklearn_drm.lipspeech.experiment.source_digest", lambda *parts: "new"
        )
    run({"a": system}, clips, tmp_path, **options)
    assert FITS == ["a", "a"]


def imported(files):
    """Files of the package that some of its files import, and what these import."""
    root = Path(sklearn_drm.__file__).parent
    found, new = set(), set(files)
    while new:
        found |= new
        names = set()
        for file in new:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names |= {
                        node.module,
                        *(f"{node.module}.{a.name}" for a in node.names),
                    }
                elif isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
        parts = [n.split(".")[1:] for n in names if n.startswith("sklearn_drm.")]
        new = {root.joinpath(*part).with_suffix(".py") for part in parts}
        new = {file for file in new if file.is_file()} - found
    return found


@pytest.mark.parametrize("which", ["_FITTED_BY", "_SCORED_BY"])
def test_what_makes_a_result_is_part_of_its_key(which):
    """A kept result counts as old when any file that makes it has changed."""
    root = Path(sklearn_drm.__file__).parent
    # Of the other kind: predictions are an input of figures.
    given = {root / part for part in getattr(experiment, which)}
    listed = {f for p in given for f in ([p] if p.is_file() else p.rglob("*.py"))}
    known = listed | {root / "__init__.py", root / "_version.py"}
    if which == "_SCORED_BY":
        others = {root / part for part in experiment._FITTED_BY}
        known |= {f for p in others for f in ([p] if p.is_file() else p.rglob("*.py"))}
    needed = imported(listed)
    assert {str(file.relative_to(root)) for file in needed - known} == set()


def test_spread_of_a_mean_over_clips_is_that_of_the_clips(monkeypatch):
    """The jackknife's pseudo-values of a mean are the values themselves."""
    rng = np.random.default_rng(0)
    rows, groups = rng.normal(size=(60, 2)), np.repeat(np.arange(6), 10)
    monkeypatch.setattr(
        experiment_scores, "_modulation", lambda true, *_: float(true.mean())
    )
    found = experiment_scores._jackknife_spread(rows, rows, groups, rows.mean())
    each = [rows[groups == g].mean() for g in range(6)]
    assert found == pytest.approx(np.std(each, ddof=1))


def test_a_changed_alignment_changes_figures_without_a_fit(clips, tmp_path):
    words = [(Word("a", 0.1, 0.9),), (Word("a", 0.0, 0.7),)]
    whole = run({"a": Stub("a")}, clips, tmp_path)
    spoken = run({"a": Stub("a")}, clips, tmp_path, words=words)
    assert FITS == ["a"]
    a, b = figures(whole.results[0]), figures(spoken.results[0])
    changed = {key for key in a if a[key] != b[key]}
    assert changed == {"stoi", "estoi"}
    assert whole.n_aligned == 0 and spoken.n_aligned == 2


@pytest.mark.parametrize(
    "system", [Stub("a", fault=ValueError("singular")), Wrong("a")]
)
def test_a_system_that_fails_is_named_and_left_out(clips, tmp_path, system):
    said = []
    found = run({"bad": system, "good": Stub()}, clips, tmp_path, warn=said.append)
    assert [r.name for r in found.results] == ["good"]
    assert found.failures[0][0] == "bad" and "'bad' failed" in said[0]
    with pytest.raises(ValueError, match="'bad' failed"):
        run({"bad": system, "good": Stub()}, clips, tmp_path, strict=True)
    with pytest.raises(ValueError, match="no system"):
        run({"bad": system}, clips, tmp_path)


def test_figures_against_a_slow_count(clips, tmp_path):
    found = run({"a": Stub("a")}, clips, tmp_path)
    maps, views, made = found.maps, found.views, found.results[0].predictions
    value = figures(found.results[0])
    errors, totals, covariance, own = [], [], [], []
    for t, p in zip(views.cepstra.T, made.cepstra.T, strict=True):
        t, p = t.astype(float), p.astype(float)
        errors.append(((t - p) ** 2).sum())
        totals.append((t**2).sum())
        covariance.append(np.cov(t, p, bias=True))
    own = [c[1, 1] / c[0, 0] for c in covariance]
    covariance = np.sum(covariance, axis=0)
    assert value["r2_speech"] == pytest.approx(1 - sum(errors) / sum(totals))
    assert value["correlation_speech"] == pytest.approx(
        covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    )
    assert value["variance_median"] == pytest.approx(np.median(own))
    assert value["variance_pooled"] == pytest.approx(
        covariance[1, 1] / covariance[0, 0]
    )
    assert value["variance_in_band"] == pytest.approx(
        sum(0.7 <= ratio <= 1.3 for ratio in own) / 32, abs=1e-6
    )
    images, mean = views.images.astype(float), maps.mean_image.astype(float)
    pixels = maps.pixels(made.lips).astype(float)
    assert value["r2_pixels"] == pytest.approx(
        1 - ((images - pixels) ** 2).sum() / ((images - mean) ** 2).sum(), rel=1e-5
    )
    # Clip by clip; the clips are of one length, so MCD is the mean of theirs.
    mcd = found.results[0].figures["mcd"]
    assert mcd.value == pytest.approx(np.mean(mcd.clips))
    assert mcd.spread == pytest.approx(np.std(mcd.clips, ddof=1))
    for clip, target in enumerate(found.targets):
        rows = found.rows_of(clip)
        sound = waveform_of(maps, made.cepstra[rows], made.excitation[rows])
        both = speech_intelligibility(target.natural, sound, 12_000)
        assert both == pytest.approx(
            [found.results[0].figures[k].clips[clip] for k in ("stoi", "estoi")]
        )


def test_a_system_of_one_direction(clips, tmp_path):
    found = run({"lips": Lips()}, clips, tmp_path)
    value = figures(found.results[0])
    assert value["r2_speech"] is None and value["estoi"] is None
    assert value["r2_lips"] == pytest.approx(0) and value["variance_lips"] == 0
    again = run({"lips": Lips()}, clips, tmp_path)
    assert again.results[0].predictions.speech is None and FITS == ["lips"]
    write_results(found, tmp_path, 1.0)


def test_own_features_are_more_intelligible_than_any_prediction(clips, tmp_path):
    found = run({"a": Stub("a")}, clips, tmp_path)
    frames, hops = (figures(ceiling) for ceiling in found.ceilings)
    predicted = figures(found.results[0])
    assert hops["estoi"] > frames["estoi"] > predicted["estoi"]
    assert hops["stoi"] > 0.8


def test_speech_is_as_intelligible_as_itself():
    sound = spoken_clips()[0].waveform[::2]
    assert speech_intelligibility(sound, sound, 8000) == pytest.approx((1, 1), abs=1e-6)
    assert speech_intelligibility(sound, 0.1 * sound, 8000) == pytest.approx(
        (1, 1), abs=1e-6
    )
    noise = np.random.default_rng(0).standard_normal(len(sound))
    assert speech_intelligibility(sound, noise, 8000)[1] < 0.2


def test_only_the_spoken_part_counts():
    sound = np.tile(spoken_clips()[0].waveform[::2], 2)
    spoilt = sound.copy()
    spoilt[: len(sound) // 2] = np.random.default_rng(0).standard_normal(
        len(sound) // 2
    )
    seconds = len(sound) / 8000
    part = (seconds / 2, seconds)
    assert speech_intelligibility(sound, spoilt, 8000, part) == pytest.approx(
        (1, 1), abs=1e-6
    )
    assert speech_intelligibility(sound, spoilt, 8000)[0] < 0.9


def test_too_little_speech_has_no_figure():
    sound = spoken_clips()[0].waveform[::2]
    assert speech_intelligibility(sound, sound, 8000, (0.5, 0.8)) is None
    assert speech_intelligibility(0 * sound, sound, 8000) is None
    click = np.zeros(16_000)
    click[8000:8100] = 1
    assert speech_intelligibility(click, click, 8000) is None


def test_lip_similarity_knows_an_image_from_another():
    lips = spoken_features()[0].lips
    assert lip_similarity(lips, lips) == pytest.approx(1)
    noise = np.random.default_rng(0).uniform(0, 255, lips.shape)
    assert lip_similarity(lips, noise) < 0.2


def test_an_alignment_is_read_in_seconds(tmp_path):
    path = tmp_path / "a.align"
    path.write_text("0 23750 sil\n23750 29500 bin\n\n29500 30000 sp\n30000 34000 now\n")
    words = read_alignment(path)
    assert words[1] == Word("bin", 0.95, 1.18)
    assert spoken_part(words) == (0.95, 1.36)
    assert spoken_part(words[:1]) is None and spoken_part(()) is None


def test_words_are_timed_from_the_first_picture_that_is_kept(clips, monkeypatch):
    """Alignments count from the file's beginning, damaged pictures or not."""
    maps = fit_representation(
        clips[0].features, SETTINGS, context=0, remove_clip_mean=True,
        with_excitation=True, n_lips=3, n_cepstra=4,
    )  # fmt: skip
    clip = replace(spoken_clips()[0], start=0.48)
    monkeypatch.setattr(experiment_scores, "read_clip", lambda *_, **__: clip)
    words = (Word("over", 0.1, 0.48), Word("cut", 0.48, 0.6), Word("b", 0.6, 1.08))
    target = read_target(clips[1].paths[0], maps, len(clip.frames), words)
    assert [word.text for word in target.words] == ["cut", "b"]
    assert target.part == pytest.approx((0.0, 0.6))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 100 sil\n100 now\n", "line 2"),
        ("0 1.5 sil\n", "line 1"),
        ("-5 100 sil\n", "line 1"),
        ("0 100 sil\n300 200 now\n", "ends before it begins"),
        ("0 100 sil\n50 200 now\n", "begins before the word above"),
        (b"\xff\xfe\xfa", "UTF-8"),
    ],
)
def test_a_bad_alignment_is_named(tmp_path, text, says):
    path = tmp_path / "odd.align"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AlignmentError, match=says) as caught:
        read_alignment(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_alignments_are_found_beside_the_clips(files, tmp_path):
    paths = sorted((files / "clips").iterdir())
    found = find_alignments(paths, None)
    assert found[:4] == [None] * 4 and found[4].stem == paths[4].stem
    assert find_alignments(paths[:5], files / "align")[4] == found[4]
    with pytest.raises(AlignmentError, match="no such folder"):
        find_alignments(paths, tmp_path / "missing")
    with pytest.raises(AlignmentError, match=f"{paths[0].stem}.align"):
        find_alignments(paths, tmp_path)


@pytest.mark.grid
@pytest.mark.slow
def test_own_features_of_real_clips_are_intelligible(grid, tmp_path):
    paths = sorted((grid / "clips").glob("*.mpg"))[:2]
    loaded = load_features(paths, cache=tmp_path, n_jobs=1)
    words = [read_alignment(path) for path in find_alignments(paths, None)]
    found = run_experiment(
        {"a": Stub()}, loaded, loaded, tmp_path, words=words, n_jobs=1, tell=str
    )
    frames, hops = (figures(ceiling) for ceiling in found.ceilings)
    # Plain WORLD reaches 0.81 and 0.70 at 5 ms over the spoken part.
    assert hops["stoi"] > 0.85 and hops["estoi"] > 0.8
    assert 0.75 < frames["stoi"] < hops["stoi"]
    assert 0.7 < frames["estoi"] < hops["estoi"]


def test_names_are_kept_apart(tmp_path):
    store = ResultStore(tmp_path)
    for value, name in enumerate(["DRM, ±4", "DRM ±4", "../DRM ±4"]):
        store.save_figures(name, "key", {"value": value})
    assert store.load_figures("DRM, ±4", "key") == {"value": 0}
    assert store.load_figures("../DRM ±4", "key") == {"value": 2}
    assert store.load_figures("DRM, ±4", "other") is None
    assert len(list(tmp_path.iterdir())) == 3


def test_the_command_from_clips_to_report(files, tmp_path, monkeypatch, capsys):
    systems = {EVIL: Stub(EVIL), "lips only": Lips()}
    monkeypatch.setattr(experiment_command, "all_systems", lambda seed: systems)
    monkeypatch.setenv("SKLEARN_DRM_CACHE", str(tmp_path / "cache"))
    paths = [str(path) for path in sorted((files / "clips").iterdir())]
    options = ["--split", str(files / "split.csv"), "--box", BOX, "--jobs", "1"]
    out = tmp_path / "out"
    command = ["experiment", *paths, *options, "-o", str(out)]
    assert main(command) == 0
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags and EVIL in page.words
    assert any("spoken <b>" in words for words in page.words)
    assert all(source.startswith("data:") for source in page.sources)
    assert page.media("image/png")[0] == (out / "figure1-lips.png").read_bytes()
    assert len(page.media("video/mp4")) == 2 * (2 + 2)
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [system["name"] for system in results["systems"]][:2] == list(systems)
    assert results["spoken_parts"] == [[0.2, 0.8], [0.2, 0.8]]
    assert "lips only" in (out / "table.md").read_text(encoding="utf-8")
    assert "spoken part of each clip" in "".join(page.words)
    # Again, with a folder of alignments that lacks one.
    align = tmp_path / "align"
    align.mkdir()
    (align / f"{files.joinpath(paths[4]).stem}.align").write_text("0 25000 word")
    capsys.readouterr()
    assert main([*command, "--align", str(align)]) == 0
    assert sorted(FITS) == sorted([EVIL, "lips"])
    assert "no word alignments for 1 of the 2 test clips" in capsys.readouterr().err
    assert "of 1 clips" in (out / "report.html").read_text(encoding="utf-8")


def test_a_missing_extra_is_one_line(files, tmp_path, monkeypatch, capsys):
    def without(name, *rest):
        if name.split(".")[0] == "pystoi":
            raise ImportError("No module named 'pystoi'")
        return real(name, *rest)

    real = builtins.__import__
    monkeypatch.setattr(
        "sklearn_drm.lipspeech.intelligibility.importlib.import_module", without
    )
    clip = next((files / "clips").iterdir())
    split = str(files / "split.csv")
    status = main(["experiment", str(clip), "--split", split, "-o", str(tmp_path)])
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2 and 'pip install ".[experiment]"' in line
    assert "pystoi" in line

"""Classifiers of the family against perceptrons on handwritten digits.

scikit-learn's digits (1,797 scans of 8×8 pixels, built in), binarised at half of full
scale for `BBDRMClassifier` and real for `GCDRMClassifier`; every perceptron sees the
same pixels as the model it is compared with. And the same scans at MNIST's size: scaled
up to 20×20 by splines, placed at a random shift of up to two pixels in 28×28, with
Gaussian noise of a twentieth of full scale; six such copies of each training scan, one
of each test scan.

    python benchmarks/bench_digits.py

Writes ``benchmarks/results/bench_digits.json`` and ``.md``.

Notes
-----
Every seed shuffles the rows into stratified folds and seeds the fits. Differences are
paired over seeds × folds; their standard error is taken over the seeds' means of folds
as well as over all runs, and the larger one is given. Generated images are judged by
a support vector machine trained on real scans of the same kind.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import (
    common_arguments,
    describe_run,
    markdown_table,
    output_path,
    write_results,
)
from joblib import Parallel, delayed
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from sklearn_drm import BBDRMClassifier, GCDRMClassifier

FAMILIES = {"BBDRM": "binarised", "GCDRM": "real"}
PARTS = ["generated", "full-size", "folds"]
# More Gibbs steps, and for real pixels less weight on the labels.
FOR_DRAWING: dict[str, dict[str, Any]] = {
    "BBDRM": {"n_gibbs_steps": 5},
    "GCDRM": {
        "n_gibbs_steps": 10,
        "relation_weight": 3.0,
        "pretrain_learning_rate": 0.005,
        "batch_size": 50,
    },
}
UNTUNED, TUNED = "before fine-tuning", "after fine-tuning"


def pixels(images: Any, kind: str) -> Any:
    """Images in [0, 1] as one sort of pixels."""
    return (images > 0.5).astype(np.float32) if kind == "binarised" else images


def relational(family: str, fine_tune: str | None, seed: int, **options: Any) -> Any:
    """A model of the family."""
    options = {"fine_tune": fine_tune, "random_state": seed, **options}
    if family == "BBDRM":
        return BBDRMClassifier(binarize=None, **options)
    # Pixels are in one unit: those that hardly vary are not to count as much.
    return GCDRMClassifier(scaling="common", **options)


def one_fold(
    x: Any, labels: Any, rows: tuple[Any, Any], family: str, seed: int, quick: bool
) -> dict[str, tuple[float, float]]:
    """Test error in percent and fit seconds of every system."""
    train, test = rows
    found: dict[str, tuple[float, float]] = {}

    def run(name: str, system: Any, before: float = 0.0) -> None:
        start = time.perf_counter()
        system.fit(x[train], labels[train])
        seconds = time.perf_counter() - start + before
        found[name] = 100 * (1 - system.score(x[test], labels[test])), seconds

    short = {"pretrain_epochs": 2, "fine_tune_epochs": 2} if quick else {}
    longest = {"logistic": 5, "relu": 5} if quick else {"logistic": 400, "relu": 200}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for activation, n_iter in longest.items():
            perceptron = MLPClassifier(
                (100, 100), activation, max_iter=n_iter, random_state=seed
            )
            run(f"MLP {activation}", perceptron)
        model = relational(family, None, seed, warm_start=True, **short)
        run(f"{family} {UNTUNED}", model)
        # Goes on from the same pre-trained chain.
        model.set_params(fine_tune="separate", pretrain_epochs=0)
        run(f"{family} {TUNED}", model, found[f"{family} {UNTUNED}"][1])
    return found


def compare_family(
    family: str, images: Any, labels: Any, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Errors of all systems, and paired differences from the better perceptron."""
    x = pixels(images, FAMILIES[family])
    folds = [
        (rows, seed)
        for seed in range(arguments.seeds)
        for rows in StratifiedKFold(
            arguments.folds, shuffle=True, random_state=seed
        ).split(x, labels)
    ]
    runs = Parallel(n_jobs=arguments.jobs)(
        delayed(one_fold)(x, labels, rows, family, seed, arguments.quick)
        for rows, seed in folds
    )
    names = list(runs[0])
    errors = {name: np.array([run[name][0] for run in runs]) for name in names}
    seconds = {name: float(np.median([run[name][1] for run in runs])) for name in names}
    best = min(names[:2], key=lambda name: errors[name].mean())
    table = []
    for name in names:
        difference = errors[name] - errors[best]
        by_seed = difference.reshape(arguments.seeds, arguments.folds).mean(axis=1)
        table.append(
            {
                "system": name,
                "error": float(errors[name].mean()),
                "difference": float(difference.mean()),
                "standard_error": max(
                    _standard_error(by_seed), _standard_error(difference)
                ),
                "fit_seconds": seconds[name],
                "errors": errors[name].round(3).tolist(),
            }
        )
    return {"family": family, "pixels": FAMILIES[family], "best": best, "table": table}


def _standard_error(values: Any) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def mnist_shaped(images: Any, rng: np.random.Generator, copies: int = 1) -> Any:
    """Scans of 8×8 at 28×28: scaled up, shifted, with noise."""
    large = np.zeros((copies * len(images), 28, 28), dtype=np.float32)
    for index, image in enumerate(np.tile(images, (copies, 1))):
        scan = np.clip(zoom(image.reshape(8, 8), 2.5, order=3), 0, 1)
        top, left = rng.integers(2, 7, size=2)
        large[index, top : top + 20, left : left + 20] = scan
    large += 0.05 * rng.standard_normal(large.shape, dtype=np.float32)
    return np.clip(large, 0, 1).reshape(len(large), 784)


def full_size(images: Any, labels: Any, quick: bool) -> list[dict[str, Any]]:
    """Fit times and errors at 784 columns, one split."""
    rng = np.random.default_rng(0)
    splitter = StratifiedKFold(5, shuffle=True, random_state=0)
    train, test = next(splitter.split(images, labels))
    copies = 1 if quick else 6
    x, x_test = (
        mnist_shaped(images[train], rng, copies),
        mnist_shaped(images[test], rng),
    )
    y = np.tile(labels[train], copies)
    short = {
        "pretrain_epochs": 1 if quick else 15,
        "fine_tune_epochs": 1 if quick else 20,
    }
    table = []
    for family, kind in FAMILIES.items():
        seen, unseen = pixels(x, kind), pixels(x_test, kind)
        for name, system in {
            "MLP relu": MLPClassifier(
                (100, 100), max_iter=5 if quick else 200, random_state=0
            ),
            f"{family} {UNTUNED}": relational(family, None, 0, **short),
            f"{family} {TUNED}": relational(family, "separate", 0, **short),
        }.items():
            start = time.perf_counter()
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                system.fit(seen, y)
            table.append(
                {
                    "pixels": kind,
                    "system": name,
                    "rows": len(seen),
                    "error": float(100 * (1 - system.score(unseen, labels[test]))),
                    "fit_seconds": time.perf_counter() - start,
                }
            )
    return table


def recognised(images: Any, labels: Any, quick: bool) -> list[dict[str, Any]]:
    """Share of generated images that a judge trained on real scans gets right."""
    table = []
    classes, n_samples = np.arange(10), 20 if quick else 200
    short = {"pretrain_epochs": 2, "fine_tune_epochs": 2} if quick else {}
    for family, kind in FAMILIES.items():
        x = pixels(images, kind)
        judge = SVC(gamma="scale").fit(x, labels)
        for name, fine_tune, options in (
            (UNTUNED, None, {}),
            (TUNED, "separate", {}),
            (f"for drawing, {UNTUNED}", None, FOR_DRAWING[family]),
            (f"for drawing, {TUNED}", "separate", FOR_DRAWING[family]),
        ):
            settings = {**options, **short}
            model = relational(family, fine_tune, 0, **settings).fit(x, labels)
            prototypes = model.predict_x(classes)
            draws = model.sample_x(classes, n_samples).reshape(-1, x.shape[1])
            wanted = np.tile(classes, n_samples)
            table.append(
                {
                    "system": f"{family} {name}",
                    "prototypes": float((judge.predict(prototypes) == classes).mean()),
                    "samples": float((judge.predict(draws) == wanted).mean()),
                }
            )
    return table


def as_text(results: dict[str, Any]) -> str:
    """The tables of all parts."""
    parts = []
    for part in results.get("tables", []):
        rows = [
            [
                row["system"],
                f"{row['error']:.2f}",
                f"{row['difference']:+.2f} ± {row['standard_error']:.2f}",
                f"{row['fit_seconds']:.1f}",
            ]
            for row in part["table"]
        ]
        heads = ["system", "test error, %", f"minus {part['best']}", "fit, s"]
        parts.append(f"8×8, {part['pixels']} pixels\n\n{markdown_table(heads, rows)}")
    if "full_size" in results:
        rows = [
            [
                row["pixels"],
                row["system"],
                str(row["rows"]),
                f"{row['error']:.2f}",
                f"{row['fit_seconds']:.0f}",
            ]
            for row in results["full_size"]
        ]
        heads = ["pixels", "system", "training rows", "test error, %", "fit, s"]
        parts.append(f"28×28, one split\n\n{markdown_table(heads, rows)}")
    if "recognised" in results:
        rows = [
            [row["system"], f"{row['prototypes']:.0%}", f"{row['samples']:.1%}"]
            for row in results["recognised"]
        ]
        heads = ["system", "prototypes", "samples"]
        parts.append(
            "Generated 8×8 images that a classifier of real scans gets right\n\n"
            + markdown_table(heads, rows)
        )
    return "\n\n".join(parts)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns what is written as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folds", type=int, default=5, help="per seed (default: 5)")
    parser.add_argument(
        "--jobs", type=int, default=2, help="folds at once (default: 2)"
    )
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what to run (all)"
    )
    common_arguments(parser)
    parser.set_defaults(seeds=5)
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.seeds, arguments.folds = 1, 2
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    results: dict[str, Any] = {"run": describe_run("bench_digits.py", words, 1)}
    if "generated" in arguments.parts:
        results["recognised"] = recognised(images, labels, arguments.quick)
    if "full-size" in arguments.parts:
        results["full_size"] = full_size(images, labels, arguments.quick)
    if "folds" in arguments.parts:
        results["tables"] = [
            compare_family(family, images, labels, arguments) for family in FAMILIES
        ]
    text = as_text(results)
    print(text)
    path = output_path(arguments, "bench_digits")
    if path is not None:
        write_results(path, results, text)
    return results


if __name__ == "__main__":
    main()

"""Two-view tables of scikit-learn: the Deep Relational Model against other systems.

Two built-in data sets, nothing to download: the left and the right half of the
handwritten digits, and the mean and the worst columns of the breast cancer data.

    python benchmarks/bench_tabular.py

Writes ``benchmarks/results/bench_tabular.json`` and ``.md``.

Notes
-----
Every seed shuffles the rows into five folds; a figure of a seed is that of the
predictions of all rows, each made by the fit that has not seen it, and its time is the
mean of a fit of both directions. Views are standardised with the training rows'
moments, R² is pooled over columns. Log-likelihoods, of the first fold alone, are
nats per row of both views in standardised units, for relational models a mean-field
bound less an annealed estimate of log Z.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from _systems import (
    DEFAULT,
    Array,
    System,
    Task,
    independent_gaussians,
    joint_mixture,
    linear,
    perceptrons,
    relational_variants,
)
from _tables import (
    Runs,
    common_arguments,
    compare,
    describe_run,
    figures_table,
    output_path,
    ratios_table,
    timed,
    write_results,
)
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sklearn_drm.metrics import pooled_r2, variance_ratio

HEADS = {
    "fit_seconds": ("fit both ways, s", 2),
    "r2_y": ("R² y from x", 3),
    "r2_x": ("R² x from y", 3),
    "variance_y": ("var. y", 2),
    "variance_x": ("var. x", 2),
    "log_likelihood": ("log-lik., nats", 1),
}
SCORES = ("r2_y", "r2_x")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns what is written as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--folds", type=int, default=5, help="of the cross-validation (default: 5)"
    )
    common_arguments(parser)
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.seeds, arguments.folds = 1, 2
    results: dict[str, Any] = {
        "run": describe_run("bench_tabular.py", words, arguments.threads),
        "tables": [],
    }
    texts: list[str] = []
    output = output_path(arguments, "bench_tabular")
    for name, (x, y) in {"digits": digits(), "breast cancer": breast_cancer()}.items():
        if arguments.quick:
            x, y = x[:160], y[:160]
        table = _table(name, x, y, arguments)
        text = _text(name, x, y, table, arguments)
        print("\n" + text, flush=True)
        texts.append(text)
        results["tables"].append(
            {
                "data": name,
                "shape_x": x.shape,
                "shape_y": y.shape,
                "systems": [runs.to_dict() for runs in table],
                "ratios": _ratios(table),
            }
        )
        if output is not None:
            write_results(output, results, "\n\n".join(texts))
    if output is not None:
        print(f"\nwritten: {output} and {output.with_suffix('.md').name}")
    return results


def digits() -> tuple[Array, Array]:
    """Left and right half of the digits, without pixels that are nearly always off."""
    images = load_digits().images
    halves = (half.reshape(len(images), -1) for half in np.split(images, 2, axis=2))
    left, right = (half[:, (half > 0).mean(axis=0) >= 0.02] for half in halves)
    return left.astype(np.float32), right.astype(np.float32)


def breast_cancer() -> tuple[Array, Array]:
    """Logarithms of the mean and of the worst value of ten features of cell nuclei."""
    data = load_breast_cancer()
    mean, worst = (
        data.data[:, [name.startswith(kind) for name in data.feature_names]]
        for kind in ("mean", "worst")
    )
    # Sizes and their like: skewed, some zero.
    mean, worst = (np.log(rows + 1e-3) for rows in (mean, worst))
    return mean.astype(np.float32), worst.astype(np.float32)


def _systems(arguments: argparse.Namespace) -> list[System]:
    small: dict[str, Any] = {}
    epochs, mixtures = 200, 4
    if arguments.quick:
        small = {"n_hidden_units": 6, "fine_tune_epochs": 2}
        epochs, mixtures = 2, 2
    return [
        independent_gaussians(),
        linear("ridge"),
        linear("PLS"),
        joint_mixture(mixtures),
        *(
            perceptrons(activation, stop, max_iter=epochs)
            for activation in ("relu", "logistic")
            for stop in ("rows", "epochs")
        ),
        *relational_variants(**small),
    ]


def _table(name: str, x: Array, y: Array, arguments: argparse.Namespace) -> list[Runs]:
    """Cross-validate every system for every seed, the seeds in the outer loop."""
    systems = _systems(arguments)
    table = [Runs(system.name, system.kind) for system in systems]
    for seed in range(arguments.seeds):
        folds = KFold(arguments.folds, shuffle=True, random_state=seed)
        tasks = [_tasks(x, y, *rows) for rows in folds.split(x)]
        for system, runs in zip(systems, table, strict=True):
            with threadpool_limits(limits=arguments.threads):
                figures = _cross_validate(system, tasks, seed, arguments)
            runs.runs.append({"seed": seed, **figures})
            print(
                f"{name} seed {seed}  {system.name}: {figures['fit_seconds']:.2f} s, "
                f"R² {figures['r2_y']:.3f} / {figures['r2_x']:.3f}",
                flush=True,
            )
    return table


def _tasks(x: Array, y: Array, train: Array, test: Array) -> tuple[Task, Task]:
    """Training and test rows, standardised by the training rows."""
    by_x, by_y = StandardScaler().fit(x[train]), StandardScaler().fit(y[train])
    everything = slice(0, x.shape[1]), slice(0, y.shape[1])
    training, testing = (
        Task(by_x.transform(x[rows]), by_y.transform(y[rows]), *everything)
        for rows in (train, test)
    )
    return training, testing


def _cross_validate(
    system: System,
    tasks: list[tuple[Task, Task]],
    seed: int,
    arguments: argparse.Namespace,
) -> dict[str, float | None]:
    predictions, seconds, processor = [], [], []
    likelihood: float | None = None
    for fold, (train, test) in enumerate(tasks):
        fitted, wall, used = timed(partial(system.fit, train, seed))
        seconds.append(wall)
        processor.append(used)
        predictions.append(fitted.predict(test))
        density = fitted.log_density
        if fold == 0 and density is not None and not arguments.no_likelihood:
            likelihood = float(np.mean(density(test)))
    y_made, x_made = (np.vstack(parts) for parts in zip(*predictions, strict=True))
    y_true = np.vstack([test.y for _, test in tasks])
    x_true = np.vstack([test.x for _, test in tasks])
    return {
        "fit_seconds": float(np.mean(seconds)),
        "fit_processor_seconds": float(np.mean(processor)),
        "r2_y": pooled_r2(y_true, y_made),
        "r2_x": pooled_r2(x_true, x_made),
        "variance_y": variance_ratio(y_true, y_made),
        "variance_x": variance_ratio(x_true, x_made),
        "log_likelihood": likelihood,
    }


def _ratios(table: list[Runs]) -> list[dict[str, Any]]:
    default = next(runs for runs in table if runs.system == DEFAULT)
    pairs = [runs for runs in table if runs.kind == "perceptrons"]
    return compare(default, pairs, SCORES)


def _text(
    name: str, x: Array, y: Array, table: list[Runs], arguments: argparse.Namespace
) -> str:
    views = {
        "digits": "x and y: left and right half of the images",
        "breast cancer": "x and y: logarithms of mean and worst values",
    }
    lines = [
        f"## {name.capitalize()}",
        "",
        f"{len(x)} rows, {x.shape[1]} and {y.shape[1]} columns; {views[name]}; "
        f"{arguments.folds} folds. Median [smallest, largest] over seeds; R² pooled; "
        "var.: variance of the predictions over that of the data.",
        "",
        figures_table(table, HEADS),
        "",
        "The default DRM over two MLPs of the same size, ratios of medians, the "
        "better pair first:",
        "",
        ratios_table(_ratios(table), HEADS),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

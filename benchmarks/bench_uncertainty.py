"""Uncertainty of predictions on real clips: standard deviations and draws.

    python benchmarks/bench_uncertainty.py FOLDER

FOLDER as for ``bench_grid.py``. For the default model, without context and with four
frames on each side: squared standardised errors of the test clips, averaged over rows
and dimensions (1 is calibrated); pooled variance of 100 draws over that of the data;
pooled R² of the mean of the 100 draws over that of the prediction; and, for the
log-partition of the chain, its bracket and the seconds that it takes. Writes
``benchmarks/results/bench_uncertainty.json`` and ``.md``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from _tables import (
    Runs,
    describe_run,
    figures_table,
    output_path,
    write_results,
)
from bench_grid import clips, grid_parser, make_task, representation
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sklearn_drm import GGDRMRegressor
from sklearn_drm.lipspeech.features import FeatureSettings
from sklearn_drm.metrics import pooled_r2

HEADS = {
    "z2_speech": ("z² speech", 2),
    "z2_lips": ("z² lips", 2),
    "variance_speech": ("var. of draws, speech", 2),
    "variance_lips": ("var. of draws, lips", 2),
    "kept_speech": ("R² kept, speech", 2),
    "kept_lips": ("R² kept, lips", 2),
    "bracket": ("log Z bracket, nats", 2),
    "bracket_seconds": ("s", 0),
}

Array = NDArray[Any]


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns what is written as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = grid_parser((__doc__ or "").split("\n")[0]).parse_args(words)
    settings = FeatureSettings(box=arguments.box)
    train, test = clips(arguments, settings)
    small: dict[str, Any] = {}
    if arguments.quick:
        small = {"n_hidden_units": 6, "fine_tune_epochs": 2}
    table = []
    for context in arguments.context:
        maps = representation(train, settings, context, arguments)
        training = make_task(maps, maps.views(train))
        task = make_task(maps, maps.views(test))
        runs = Runs(f"±{context} frames" if context else "no context")
        for seed in range(1 if arguments.quick else arguments.seeds):
            with threadpool_limits(arguments.threads):
                model = GGDRMRegressor(
                    random_state=seed,
                    x_target=task.x_columns if context else None,
                    y_target=task.y_columns if context else None,
                    **small,
                ).fit(training.x, training.y, groups=training.groups)
                figures = {"seed": seed, **_figures(model, task)}
            runs.runs.append(figures)
            print(runs.system, {k: round(v, 3) for k, v in figures.items()}, flush=True)
        table.append(runs)
    text = (
        f"{len(train)} training and {len(test)} test clips; median [smallest, largest] "
        "over seeds of the model.\n\n" + figures_table(table, HEADS)
    )
    print("\n" + text)
    results = {
        "run": describe_run("bench_uncertainty.py", words, arguments.threads),
        "systems": [runs.to_dict() for runs in table],
    }
    output = output_path(arguments, "bench_uncertainty")
    if output is not None:
        write_results(output, results, text)
    return results


def _figures(model: GGDRMRegressor, task: Any) -> dict[str, float]:
    figures: dict[str, float] = {}
    ways = (
        (
            "speech",
            model.predict_y,
            model.sample_y,
            task.x,
            task.y_goal,
            task.y_columns,
        ),
        ("lips", model.predict_x, model.sample_x, task.y, task.x_goal, task.x_columns),
    )
    for name, predict, draw, source, goal, columns in ways:
        mean, std = (part[:, columns] for part in predict(source, return_std=True))
        figures[f"z2_{name}"] = float(np.mean(np.square((goal - mean) / std)))
        squares, sums, total = 0.0, 0.0, np.zeros(goal.shape)
        for seed in range(10):
            draws = draw(source, n_samples=10, random_state=seed)[..., columns]
            total += draws.sum(axis=0, dtype=np.float64)
            squares = squares + np.square(draws, dtype=np.float64).sum(axis=(0, 1))
            sums = sums + draws.sum(axis=(0, 1), dtype=np.float64)
        count = 100 * len(goal)
        variance = squares / count - np.square(sums / count)
        figures[f"variance_{name}"] = float(np.sum(variance) / goal.var(axis=0).sum())
        kept = pooled_r2(goal, total / 100) / pooled_r2(goal, mean)
        figures[f"kept_{name}"] = float(kept)
    began = time.perf_counter()
    bracket = model.log_partition()
    figures["bracket_seconds"] = time.perf_counter() - began
    figures["bracket"] = bracket.upper - bracket.lower
    return figures


if __name__ == "__main__":
    main()

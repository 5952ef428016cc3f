"""One hyperparameter at a time, on clips held out of the training ones.

    python benchmarks/bench_recipe.py FOLDER

FOLDER as for ``bench_grid.py``; its test clips are left alone. Random splits of the
training clips, five sixths to fit and one sixth to score; every variant of the default
model is fitted on every split with every seed. Writes
``benchmarks/results/bench_recipe.json`` and ``.md``.

    python benchmarks/bench_recipe.py FOLDER --splits 10 --only default

shows how far the figures of the default move with the clips alone.

Notes
-----
R² is pooled and of the frame itself, as in ``bench_grid.py``. "± s.e." stands behind
the mean difference to the default on the same splits with the same seeds; the errors
are of the runs, which share clips. z²: squared standardised errors, averaged over rows
and dimensions; 1 is calibrated. Seconds are processor time of one fit of both
directions, medians.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from _systems import System, Task, perceptrons, relational
from _tables import (
    Runs,
    describe_run,
    markdown_table,
    output_path,
    shown,
    timed,
    write_results,
)
from bench_grid import clips, grid_parser, make_task, representation
from threadpoolctl import threadpool_limits

from sklearn_drm.lipspeech.features import ClipFeatures, FeatureSettings
from sklearn_drm.metrics import pooled_r2

SCORES = ("r2_speech", "r2_lips")


@dataclass(frozen=True)
class Variant:
    """A change of the recipe, and whether it is for rows with and without context."""

    name: str
    changes: dict[str, Any]
    contexts: tuple[bool, ...] = (False, True)


def variants() -> list[Variant]:
    """The default first, then one change each."""
    named = [
        ("default", {}),
        ("fine_tune='joint'", {"fine_tune": "joint"}),
        ("pretrain_epochs=0", {"pretrain_epochs": 0}),
        ("pretrain_epochs=5", {"pretrain_epochs": 5}),
        ("n_gibbs_steps=3", {"n_gibbs_steps": 3}),
        ("fine_tune_epochs=8", {"fine_tune_epochs": 8}),
        ("fine_tune_epochs=30", {"fine_tune_epochs": 30}),
        ("fine_tune_epochs=60", {"fine_tune_epochs": 60}),
        ("learning_rate=0.005", {"learning_rate": 0.005}),
        ("learning_rate=0.02", {"learning_rate": 0.02}),
        ("batch_size=50", {"batch_size": 50}),
        ("batch_size=200", {"batch_size": 200}),
        ("dropout=0", {"dropout": 0.0}),
        ("dropout=0.05", {"dropout": 0.05}),
        ("dropout=0.2", {"dropout": 0.2}),
        ("averaging=0", {"averaging": 0.0}),
        ("refit=False", {"refit": False}),
        ("early_stopping=False", {"early_stopping": False}),
        ("validation_fraction=0.05", {"validation_fraction": 0.05}),
        ("n_hidden_layers=1", {"n_hidden_layers": 1}),
        ("n_hidden_layers=3", {"n_hidden_layers": 3}),
        ("n_hidden_units=50", {"n_hidden_units": 50}),
        ("n_hidden_units=200", {"n_hidden_units": 200}),
        ("n_hidden_units=300, dropout=0.4", {"n_hidden_units": 300, "dropout": 0.4}),
    ]
    joint = {"fine_tune": "joint"}
    # As many epochs as separate fine-tuning has.
    shorter = {26: (False,), 17: (True,)}
    dropped = {0.0: (True,), 0.1: (False, True), 0.2: (False, True), 0.3: (True,)}
    return [
        *(Variant(name, changes) for name, changes in named),
        *(
            Variant(
                f"fine_tune='joint', fine_tune_epochs={n}",
                {**joint, "fine_tune_epochs": n},
                where,
            )
            for n, where in shorter.items()
        ),
        Variant(
            "fine_tune='joint', learning_rate=0.02", {**joint, "learning_rate": 0.02}
        ),
        *(
            Variant(f"input_dropout={share:g}", {"input_dropout": share}, where)
            for share, where in dropped.items()
        ),
    ]


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns what is written as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = grid_parser((__doc__ or "").split("\n")[0])
    parser.add_argument("--splits", type=int, default=6, help="random splits (6)")
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", help="variants whose name contains it"
    )
    parser.set_defaults(seeds=1)
    arguments = parser.parse_args(words)
    settings = FeatureSettings(box=arguments.box)
    train, _ = clips(arguments, settings)
    results: dict[str, Any] = {
        "run": describe_run("bench_recipe.py", words, arguments.threads),
        "clips": len(train),
        "tables": [],
    }
    texts: list[str] = []
    output = output_path(arguments, "bench_recipe")
    for context in arguments.context:
        table = _table(train, settings, context, arguments)
        text = _text(table, context, len(train), arguments)
        print("\n" + text, flush=True)
        texts.append(text)
        results["tables"].append(
            {"context": context, "variants": [runs.to_dict() for runs in table]}
        )
        # After every table, so that an interrupted run leaves what it has.
        if output is not None:
            write_results(output, results, "\n\n".join(texts))
    return results


def split_clips(
    train: list[ClipFeatures], number: int
) -> tuple[list[ClipFeatures], list[ClipFeatures]]:
    """Five sixths of the clips, and the others, by a seeded permutation."""
    order = np.random.default_rng(number).permutation(len(train))
    n_held = max(1, len(train) // 6)
    held, kept = order[:n_held], order[n_held:]
    return [train[i] for i in sorted(kept)], [train[i] for i in sorted(held)]


def _systems(context: int, arguments: Any) -> list[System]:
    small: dict[str, Any] = {}
    epochs = 200
    if arguments.quick:
        small, epochs = {"n_hidden_units": 6, "fine_tune_epochs": 2}, 2
    systems = [
        relational(variant.name, **{**small, **variant.changes})
        for variant in variants()
        if bool(context) in variant.contexts
    ]
    systems.append(perceptrons("logistic", "clips", max_iter=epochs))
    words = arguments.only
    if not words:
        return systems[:3] + systems[-1:] if arguments.quick else systems
    return [system for system in systems if any(word in system.name for word in words)]


def _table(
    train: list[ClipFeatures],
    settings: FeatureSettings,
    context: int,
    arguments: Any,
) -> list[Runs]:
    systems = _systems(context, arguments)
    table = [Runs(system.name) for system in systems]
    for number in range(1 if arguments.quick else arguments.splits):
        kept, held = split_clips(train, number)
        maps = representation(kept, settings, context, arguments)
        training, task = (make_task(maps, maps.views(part)) for part in (kept, held))
        for seed in range(1 if arguments.quick else arguments.seeds):
            for system, runs in zip(systems, table, strict=True):
                with threadpool_limits(limits=arguments.threads):
                    fitted, _, processor = timed(partial(system.fit, training, seed))
                    predicted = fitted.predict(task)
                    figures = {
                        name: pooled_r2(goal, prediction)
                        for name, goal, prediction in zip(
                            SCORES, (task.y_goal, task.x_goal), predicted, strict=True
                        )
                    } | _calibration(fitted.model, task)
                runs.runs.append(
                    {"split": number, "seed": seed, **figures, "seconds": processor}
                )
                print(
                    f"±{context} split {number} seed {seed}  {system.name}: "
                    f"{figures['r2_speech']:.4f} / {figures['r2_lips']:.4f}",
                    flush=True,
                )
    return table


def _calibration(model: Any, task: Task) -> dict[str, float | None]:
    if model is None:
        return {}
    figures: dict[str, float | None] = {}
    for name, predict, source, goal, columns in (
        ("z2_speech", model.predict_y, task.x, task.y_goal, task.y_columns),
        ("z2_lips", model.predict_x, task.y, task.x_goal, task.x_columns),
    ):
        mean, std = (part[:, columns] for part in predict(source, return_std=True))
        figures[name] = float(np.mean(np.square((goal - mean) / std)))
    return figures


def _text(table: list[Runs], context: int, n_clips: int, arguments: Any) -> str:
    seen = f"±{context} frames of context" if context else "No context"
    runs = len(table[0].runs) if table else 0
    heads = ["recipe", "R² speech", "− default ± s.e.", "R² lips", "− default ± s.e."]
    heads += ["z² speech", "z² lips", "s"]
    first = next((runs for runs in table if runs.system == "default"), None)
    rows = []
    for entry in table:
        cells = [entry.system]
        for name in SCORES:
            values = np.array(entry.values(name))
            cells.append(shown(float(values.mean()), 4))
            cells.append(_difference(values, entry, first, name))
        for name in ("z2_speech", "z2_lips"):
            values = np.array(entry.values(name))
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            cells.append(
                f"{shown(float(values.mean()), 2)} ± {shown(float(spread), 2)}"
                if len(values)
                else "–"
            )
        cells.append(shown(entry.median("seconds"), 1))
        rows.append(cells)
    return "\n".join(
        [
            f"## {seen}",
            "",
            f"{n_clips} training clips, a sixth of them held out; means over {runs} "
            "runs (splits and seeds), differences to the default on the same runs, "
            "z² with its standard deviation over the runs, seconds of one fit.",
            "",
            markdown_table(heads, rows),
        ]
    )


def _difference(values: Any, entry: Runs, first: Runs | None, name: str) -> str:
    if first is None or entry is first:
        return ""
    change = values - np.array(first.values(name))
    text = f"{change.mean():+.4f}".replace("-", "−")
    if len(change) > 1:
        error = change.std(ddof=1) / len(change) ** 0.5
        text += f" ± {shown(float(error), 4)}"
    return text


if __name__ == "__main__":
    main()

"""Lips and speech of real clips: the Deep Relational Model against other systems.

All systems get the same features in one run, with the same number of threads: lip
images as principal components of their cosine transform, speech as mel-cepstra, both
standardised with training statistics. Without context the clip's own mean stays in
the lip features; with neighbouring frames it is removed, as the application does.

    python benchmarks/bench_grid.py FOLDER

FOLDER holds clips, or a folder ``clips`` of them, and ``split.csv`` (columns clip,
subset); without a split every fifth clip is for testing. Writes
``benchmarks/results/bench_grid.json`` and ``.md``.

Notes
-----
Figures are those of test clips. R² is pooled over dimensions and raw: nothing of the
test clip is given, so where a clip's mean was removed the training mean stands in for
it. Predictions are of the frame itself, from it and its neighbours. The joint mixture
sees no neighbours. Log-likelihoods are nats per frame, both views with neighbours, in
standardised units; those of relational models are mean-field bounds less an annealed
estimate of log Z. Separate fine-tuning leaves the chain as it was pre-trained: its
figure is that of joint fine-tuning's chain before it was tuned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _systems import (
    DEFAULT,
    Fitted,
    System,
    Task,
    independent_gaussians,
    joint_mixture,
    linear,
    perceptrons,
    relational,
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
    shown,
    timed,
    write_results,
)
from threadpoolctl import threadpool_limits

from sklearn_drm.lipspeech.feature_cache import default_cache, load_features
from sklearn_drm.lipspeech.features import ClipFeatures, FeatureSettings
from sklearn_drm.lipspeech.representation import (
    Representation,
    Views,
    fit_representation,
)
from sklearn_drm.lipspeech.split import read_split, select
from sklearn_drm.metrics import (
    mel_cepstral_distortion,
    pooled_r2,
    variance_ratio,
    within_group_r2,
)

HEADS = {
    "fit_seconds": ("fit both ways, s", 1),
    "r2_speech": ("R² speech", 3),
    "r2_lips": ("R² lips", 3),
    "mcd": ("MCD, dB", 2),
    "variance_speech": ("var. speech", 2),
    "variance_lips": ("var. lips", 2),
    "log_likelihood": ("log-lik., nats", 1),
}
SCORES = ("r2_speech", "r2_lips")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns what is written as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = grid_parser((__doc__ or "").split("\n")[0]).parse_args(words)
    settings = FeatureSettings(box=arguments.box)
    train, test = clips(arguments, settings)
    seeds = range(1 if arguments.quick else arguments.seeds)
    results: dict[str, Any] = {
        "run": describe_run("bench_grid.py", words, arguments.threads),
        "clips": {"train": len(train), "test": len(test)},
        "tables": [],
    }
    texts: list[str] = []
    output = output_path(arguments, "bench_grid")
    for context in arguments.context:
        maps = representation(train, settings, context, arguments)
        table = _table(maps, train, test, seeds, arguments)
        text = _text(table, maps, len(train), len(test))
        print("\n" + text, flush=True)
        texts.append(text)
        results["tables"].append(
            {
                "context": context,
                "clip_mean_removed": maps.centerer is not None,
                "systems": [runs.to_dict() for runs in table],
                "ratios": _ratios(table),
            }
        )
        # After every table, so that an interrupted run leaves what it has.
        if output is not None:
            write_results(output, results, "\n\n".join(texts))
    if output is not None:
        print(f"\nwritten: {output} and {output.with_suffix('.md').name}")
    return results


def clips_parser(description: str) -> argparse.ArgumentParser:
    """What `clips` reads, and what every comparison has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="clips")
    parser.add_argument("--split", type=Path, metavar="CSV")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder that keeps features of clips (default: the application's)",
    )
    parser.add_argument("--jobs", type=int, help="processes that read clips")
    parser.add_argument("--box", type=_box, metavar="X,Y,SIZE", help="the mouth's box")
    common_arguments(parser)
    return parser


def grid_parser(description: str) -> argparse.ArgumentParser:
    parser = clips_parser(description)
    parser.add_argument(
        "--context",
        type=int,
        nargs="+",
        default=[0, 4],
        metavar="K",
        help="neighbouring frames on each side, one table for each (default: 0 4)",
    )
    parser.add_argument(
        "--clip-mean",
        choices=["auto", "keep", "remove"],
        default="auto",
        help="of the lip features; auto: removed with context, as the application does",
    )
    parser.add_argument(
        "--units",
        type=int,
        metavar="N",
        help="also a DRM and two MLPs with N units in each hidden layer",
    )
    parser.add_argument(
        "--dropout",
        type=float,
        default=0.4,
        help="of the DRM with --units (default: 0.4)",
    )
    return parser


def _box(text: str) -> tuple[float, float, float]:
    x, y, size = map(float, text.split(","))
    return x, y, size


def clips(
    arguments: argparse.Namespace, settings: FeatureSettings
) -> tuple[list[ClipFeatures], list[ClipFeatures]]:
    """Features of training and test clips."""
    folder: Path = arguments.folder
    holder = folder / "clips" if (folder / "clips").is_dir() else folder
    paths = sorted(
        path
        for path in holder.iterdir()
        if path.is_file() and path.suffix.lower() not in (".csv", ".txt", ".json")
    )
    split = arguments.split
    beside = (folder / "split.csv", folder.parent / "split.csv")
    if split is None:
        split = next((path for path in beside if path.is_file()), None)
    if split is not None:
        subsets = read_split(split)
        train, test = (select(paths, subsets, s, split) for s in ("train", "test"))
    else:
        train, test = [p for i, p in enumerate(paths) if i % 5], paths[::5]
    if arguments.quick:
        train, test = train[:8], test[:3]
    loaded = [
        load_features(
            some,
            settings,
            cache=arguments.cache or default_cache(),
            n_jobs=arguments.jobs,
            warn=lambda line: print(line, file=sys.stderr),
        ).features
        for some in (train, test)
    ]
    if not all(loaded):
        raise SystemExit("bench_grid.py: no usable training clips, or no test clips")
    return loaded[0], loaded[1]


def _systems(arguments: argparse.Namespace) -> list[System]:
    small: dict[str, Any] = {}
    epochs, mixtures = 200, 16
    if arguments.quick:
        small = {"n_hidden_units": 6, "fine_tune_epochs": 2}
        epochs, mixtures = 2, 2
    systems = [
        independent_gaussians(),
        # Strength and components: best of a few on a part of the training clips.
        linear("ridge", ridge=1000.0),
        linear("PLS", n_components=8),
        joint_mixture(mixtures),
        *(
            perceptrons(activation, stop, max_iter=epochs)
            for activation in ("relu", "logistic")
            for stop in ("rows", "clips")
        ),
        *relational_variants(**small),
    ]
    if arguments.units:
        larger = {"n_hidden_units": arguments.units, "dropout": arguments.dropout}
        name = f"{arguments.units} units, dropout {arguments.dropout:g}"
        systems += [
            perceptrons("logistic", "clips", n_units=arguments.units, max_iter=epochs),
            relational(
                f"DRM, joint, {name}", **{**small, **larger, "fine_tune": "joint"}
            ),
            relational(f"DRM, separate, {name}", **{**small, **larger}),
        ]
    return systems


def representation(
    train: list[ClipFeatures],
    settings: FeatureSettings,
    context: int,
    arguments: argparse.Namespace,
) -> Representation:
    """Views of the clips, with so many neighbours on each side."""
    removed = {"auto": context > 0, "keep": False, "remove": True}
    return fit_representation(
        train,
        settings,
        context=context,
        remove_clip_mean=removed[arguments.clip_mean],
        with_excitation=False,
        n_lips=8 if arguments.quick else 40,
        n_cepstra=8 if arguments.quick else 32,
    )


def make_task(maps: Representation, views: Views) -> Task:
    k, n_x, n_y = maps.context, maps.n_lips, maps.n_speech
    return Task(
        x=views.lips_in,
        y=views.speech_in,
        x_columns=slice(k * n_x, (k + 1) * n_x),
        y_columns=slice(k * n_y, (k + 1) * n_y),
        groups=views.groups,
    )


def _table(
    maps: Representation,
    train: list[ClipFeatures],
    test: list[ClipFeatures],
    seeds: range,
    arguments: argparse.Namespace,
) -> list[Runs]:
    """Fit and score every system for every seed, the seeds in the outer loop."""
    training, views = make_task(maps, maps.views(train)), maps.views(test)
    task = make_task(maps, views)
    systems = _systems(arguments)
    table = [Runs(system.name, system.kind) for system in systems]
    for seed in seeds:
        for system, runs in zip(systems, table, strict=True):
            if runs.runs and not system.seeded:
                continue
            with threadpool_limits(limits=arguments.threads):
                fitted, wall, processor = timed(partial(system.fit, training, seed))
                figures = _figures(fitted, maps, views, task)
                if not arguments.no_likelihood:
                    figures |= _likelihood(fitted, task)
            figures |= {"fit_seconds": wall, "fit_processor_seconds": processor}
            runs.runs.append({"seed": seed, **figures})
            print(
                f"±{maps.context} seed {seed}  {system.name}: {wall:.1f} s, R² "
                f"{figures['r2_speech']:.3f} / {figures['r2_lips']:.3f}",
                flush=True,
            )
    return table


def _figures(
    fitted: Fitted, maps: Representation, views: Views, task: Task
) -> dict[str, float | None]:
    cepstra, lips = (
        np.asarray(rows, dtype=np.float32) for rows in fitted.predict(task)
    )
    # `views.lips`, the target, has the clip's mean even where the input lacks it.
    return {
        "r2_speech": pooled_r2(views.cepstra, cepstra),
        "r2_lips": pooled_r2(views.lips, lips),
        "r2_speech_within": within_group_r2(views.cepstra, cepstra, views.groups),
        "r2_lips_within": within_group_r2(views.lips, lips, views.groups),
        "mcd": mel_cepstral_distortion(
            maps.mel_cepstra(views.cepstra), maps.mel_cepstra(cepstra)
        ),
        "variance_speech": variance_ratio(views.cepstra, cepstra),
        "variance_lips": variance_ratio(views.lips, lips),
    }


def _likelihood(fitted: Fitted, task: Task) -> dict[str, float | None]:
    if fitted.log_density is None:
        return {}
    figures: dict[str, float | None] = {
        "log_likelihood": float(np.mean(fitted.log_density(task)))
    }
    if hasattr(fitted.model, "log_partition"):
        bracket = fitted.model.log_partition()
        figures["log_partition_width"] = bracket.upper - bracket.lower
    return figures


def _ratios(table: list[Runs]) -> list[dict[str, Any]]:
    """The default model over each pair of perceptrons of the same size."""
    default = next(runs for runs in table if runs.system == DEFAULT)
    pairs = [runs for runs in table if runs.kind == "perceptrons"]
    return compare(default, pairs, SCORES)


def _text(table: list[Runs], maps: Representation, n_train: int, n_test: int) -> str:
    lips = "removed from" if maps.centerer is not None else "kept in"
    seen = f"±{maps.context} frames of context" if maps.context else "no context"
    lines = [
        f"## {seen[0].upper()}{seen[1:]}",
        "",
        f"{n_train} training and {n_test} test clips; clip mean {lips} the lip "
        f"features; {maps.n_lips} lip and {maps.n_cepstra} speech columns per frame. "
        "Every system predicts the frame itself, from it and its neighbours; the "
        "mixture has no neighbours. Median [smallest, largest] over seeds; R² raw, "
        "pooled; var.: variance of the predictions over that of the data.",
        "",
        figures_table(table, HEADS),
        "",
        *_notes(table, maps),
        "",
        "The default DRM over two MLPs of the same size, ratios of medians, the "
        "better pair first:",
        "",
        ratios_table(_ratios(table), HEADS),
        "",
        *_bars(table, maps.context),
    ]
    return "\n".join(lines)


def _notes(table: list[Runs], maps: Representation) -> list[str]:
    widths = [w for runs in table for w in runs.values("log_partition_width")]
    if not widths:
        return []
    frame = maps.n_lips + maps.n_speech
    return [
        f"Log-likelihood per frame, {(2 * maps.context + 1) * frame} columns of both "
        f"views together, {frame} for the mixture. Relational models of more than a "
        "few units: a lower bound with an estimate of log Z, its bracket at most "
        f"{max(widths):.1f} nats wide. Separate fine-tuning leaves the density as it "
        "was pre-trained; that is joint fine-tuning's before it was tuned."
    ]


def _bars(table: list[Runs], context: int) -> list[str]:
    """What is asked for, and whether it holds."""
    best = _ratios(table)[0]
    gain = 1.12 if context else 1.04
    speech, lips, seconds = (best[name] for name in (*SCORES, "fit_seconds"))
    met = bool(
        speech and lips and seconds and min(speech, lips) >= gain and seconds <= 0.5
    )
    lines = [
        f"Bar: both ratios of R² ≥ {gain}, that of time ≤ 0.5: "
        f"{shown(speech)}, {shown(lips)}, {shown(seconds)}: "
        f"{'met' if met else 'not met'}."
    ]
    if context:
        for runs in table:
            if runs.kind != "larger relational":
                continue
            speech, lips, seconds = (
                runs.median(name) for name in (*SCORES, "fit_seconds")
            )
            met = bool(
                speech
                and lips
                and seconds
                and speech >= 0.32
                and lips >= 0.14
                and seconds <= 180
            )
            lines += [
                "",
                f"Bar: R² speech ≥ 0.32, lips ≥ 0.14, in ≤ 180 s, {runs.system}: "
                f"{shown(speech)}, {shown(lips)}, {shown(seconds, 0)} s: "
                f"{'met' if met else 'not met'}.",
            ]
    return lines


if __name__ == "__main__":
    main()

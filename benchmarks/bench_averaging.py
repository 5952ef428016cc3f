"""What it costs, and what it gains, to give predictions the variance of nature.

Conditional means of a Deep Relational Model with ±4 frames of context, and what
trajectories, post-filters and a random draw make of them, both ways. The filters are
fitted on predictions of training clips that the predicting model has not seen.

    python benchmarks/bench_averaging.py FOLDER [--test]

FOLDER holds ``clips`` and ``split.csv``. Without ``--test`` the model is fitted on
five sixths of the training clips and scored on the others: choose by that. Writes
``benchmarks/results/bench_averaging.json`` and ``.md``.

Notes
-----
Speech figures are of standardised mel-cepstra. ratio: pooled variance ratio; dims:
share of columns with a ratio of 0.7 to 1.3; ρ: mean correlation of a column; MS: root
mean square difference of the mean log modulation spectra in dB. Lips are without the
clip's own mean. MCD is of mel-cepstra in their own units.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _tables import describe_run, markdown_table, write_results
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from drm_transformers import (
    FilterChain,
    GlobalVarianceFilter,
    ModulationSpectrumFilter,
    modulation_spectrum,
)
from sklearn_drm.lipspeech.feature_cache import default_cache, load_features
from sklearn_drm.lipspeech.features import FeatureSettings
from sklearn_drm.lipspeech.representation import Representation, fit_representation
from sklearn_drm.lipspeech.split import read_split, select
from sklearn_drm.lipspeech.systems import RelationalSystem, unseen_predictions
from sklearn_drm.metrics import mel_cepstral_distortion, pooled_r2, variance_ratio

Array = NDArray[Any]

FILTERS = {
    "GV": GlobalVarianceFilter(),
    "GV around clips": GlobalVarianceFilter(around="clip"),
    "MS": ModulationSpectrumFilter(),
    "MS + GV": FilterChain([ModulationSpectrumFilter(), GlobalVarianceFilter()]),
}
HEADS = ["chain", "R²", "ρ", "ratio", "dims", "MS dB"]


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns what is written as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    with threadpool_limits(limits=1):
        maps, training, scored = _views(arguments)
        results = {
            "run": describe_run("bench_averaging.py", words, 1),
            "scored_on": "test clips" if arguments.test else "held-out training clips",
            "n_clips": [len(np.unique(part[2])) for part in (training, scored)],
            **_figures(maps, training, scored, arguments),
        }
    text = _text(results)
    print(text)
    if arguments.output:
        write_results(arguments.output, results, text)
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--box", type=_box, metavar="X,Y,SIZE", help="the mouth's box")
    parser.add_argument("--test", action="store_true", help="score the test clips")
    parser.add_argument(
        "--crossed",
        action="store_true",
        help="fit the filters on all training clips, predicted in five parts",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR")
    parser.add_argument(
        "--variances",
        choices=["own", "constant"],
        default="own",
        help="of MLPG: the model's own ones in each row, or one per column (faster)",
    )
    parser.add_argument("--units", type=int, default=100, metavar="N")
    parser.add_argument("--dropout", type=float, help="default: the model's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, metavar="N", help="first N clips only")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: likewise")
    parser.add_argument("-o", "--output", type=Path, metavar="JSON")
    return parser


def _box(text: str) -> tuple[float, float, float]:
    x, y, size = map(float, text.split(","))
    return x, y, size


def _views(
    arguments: argparse.Namespace,
) -> tuple[Representation, tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """The maps, and x, y and clips of training and scored rows."""
    folder: Path = arguments.folder
    split, settings = folder / "split.csv", FeatureSettings(box=arguments.box)
    paths = sorted(p for p in (folder / "clips").iterdir() if p.is_file())
    subsets = read_split(split)

    def features(subset: str) -> list[Any]:
        return load_features(
            select(paths, subsets, subset, split)[: arguments.limit],
            settings,
            cache=arguments.cache or default_cache(),
            n_jobs=None,
            warn=lambda line: print(line, file=sys.stderr),
        ).features

    train = features("train")
    if arguments.test:
        scored = features("test")
    else:
        order = np.random.default_rng(5).permutation(len(train))
        n_scored = len(train) // 6
        scored = [train[i] for i in order[:n_scored]]
        train = [train[i] for i in order[n_scored:]]
    maps = fit_representation(
        train,
        settings,
        context=0,
        remove_clip_mean=True,
        with_excitation=True,
        n_lips=40,
        n_cepstra=32,
    )
    parts = [maps.views(part) for part in (train, scored)]
    first, second = ((v.lips_in, v.speech_in, v.groups) for v in parts)
    return maps, first, second


def _figures(
    maps: Representation,
    training: tuple[Array, Array, Array],
    scored: tuple[Array, Array, Array],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    given = {"dropout": arguments.dropout, "fine_tune_epochs": arguments.epochs}
    plain = RelationalSystem(
        n_hidden_units=arguments.units,
        options={name: value for name, value in given.items() if value is not None},
        random_state=arguments.seed,
    )
    x, y, clips = scored
    speech: list[dict[str, Any]] = []
    lips: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}

    def note(name: str, made: dict[str, Array]) -> None:
        n = maps.n_cepstra
        speech.append(_scores(name, y[:, :n], made["y"][:, :n], clips))
        speech[-1]["mcd"] = mel_cepstral_distortion(
            *(maps.mel_cepstra(rows[:, :n]) for rows in (y, made["y"]))
        )
        speech[-1]["mcd_over_mean"] = speech[-1]["mcd"] / speech[0]["mcd"] - 1
        lips.append(_scores(name, x, made["x"], clips))

    for name, system in (
        ("mean", plain),
        ("MLPG", clone(plain).set_params(trajectory=arguments.variances)),
    ):
        began = time.perf_counter()
        rows, unseen = unseen_predictions(system, *training, crossed=arguments.crossed)
        system.fit(*training)
        seconds[name] = time.perf_counter() - began
        made = _both(system, scored)
        if system.trajectory == "own":
            system.set_params(trajectory="constant")
            note("MLPG, constant variances", _both(system, scored))
            system.set_params(trajectory="own")
        note(name, made)
        known = _both(system, training)
        goals = {"x": training[0], "y": training[1]}
        for label, filter_ in FILTERS.items():
            note(
                f"{name} + {label}",
                {
                    way: clone(filter_)
                    .fit(goals[way][rows], unseen[way], training[2][rows])
                    .transform(made[way], clips)
                    for way in made
                },
            )
        note(
            f"{name} + GV, fitted on training predictions",
            {
                way: clone(FILTERS["GV"])
                .fit(goals[way], known[way])
                .transform(made[way])
                for way in made
            },
        )
        if name == "mean":
            seed = arguments.seed
            draws = {
                "y": system.sample_y(x, clips, random_state=seed),
                "x": system.sample_x(y, clips, random_state=seed),
            }
            note("a random draw", draws)
    return {"speech": speech, "lips": lips, "fit_seconds": seconds}


def _both(system: Any, part: tuple[Array, Array, Array]) -> dict[str, Array]:
    x, y, clips = part
    return {"y": system.predict_y(x, clips), "x": system.predict_x(y, clips)}


def _scores(name: str, true: Array, made: Array, clips: Array) -> dict[str, Any]:
    ratios = made.var(axis=0, dtype=np.float64) / true.var(axis=0, dtype=np.float64)
    correlations = [
        np.corrcoef(t, m)[0, 1] for t, m in zip(true.T, made.T, strict=True)
    ]
    wanted, found = (
        10 * np.log10(modulation_spectrum(v, clips)[:, 1:] + 1e-8).mean(axis=0)
        for v in (true, made)
    )
    return {
        "chain": name,
        "r2": pooled_r2(true, made),
        "correlation": float(np.mean(correlations)),
        "variance_ratio": variance_ratio(true, made),
        "dimensions": float(np.mean((ratios >= 0.7) & (ratios <= 1.3))),
        "modulation_db": float(np.sqrt(np.mean(np.square(found - wanted)))),
    }


def _text(results: dict[str, Any]) -> str:
    fitted, scored = results["n_clips"]
    lines = [f"{fitted} training clips, {scored} {results['scored_on']}.", ""]
    for view in ("speech", "lips"):
        heads = HEADS + (["MCD dB", "over the mean"] if view == "speech" else [])
        table = [
            [
                entry["chain"],
                f"{entry['r2']:.3f}",
                f"{entry['correlation']:.3f}",
                f"{entry['variance_ratio']:.2f}",
                f"{entry['dimensions']:.0%}",
                f"{entry['modulation_db']:.1f}",
                *(
                    [f"{entry['mcd']:.2f}", f"{entry['mcd_over_mean']:+.1%}"]
                    if view == "speech"
                    else []
                ),
            ]
            for entry in results[view]
        ]
        lines += [f"{view.capitalize()}:", "", markdown_table(heads, table), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

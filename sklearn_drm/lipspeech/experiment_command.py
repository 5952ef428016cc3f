"""The command ``experiment``."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from sklearn_drm.lipspeech.alignments import Word, find_alignments, read_alignment
from sklearn_drm.lipspeech.experiment import run_experiment, tell_above_bar
from sklearn_drm.lipspeech.experiment_report import write_results
from sklearn_drm.lipspeech.experiment_tables import markdown_tables
from sklearn_drm.lipspeech.feature_cache import Loaded
from sklearn_drm.lipspeech.features import FeatureSettings
from sklearn_drm.lipspeech.split import read_split, select
from sklearn_drm.lipspeech.systems import all_systems

__all__ = ["run_command"]

Load = Callable[[list[Path]], Loaded]
RESULTS = ("report.html", "results.json", "table.md")


def run_command(
    clips: list[Path],
    arguments: Namespace,
    settings: FeatureSettings,
    load: Load,
    warn: Callable[[str], None],
) -> None:
    """Run all systems on clips and leave the results in a folder.

    Parameters
    ----------
    clips : list of pathlib.Path
    arguments : argparse.Namespace
        Of the command line.
    settings : FeatureSettings
        How clips are read.
    load : callable
        Features of clips.
    warn : callable
        Called with one line.

    Raises
    ------
    ValueError
        If the split, an alignment or the clips cannot be used.
    """
    began = time.perf_counter()
    subsets = read_split(arguments.split)
    training = select(clips, subsets, "train", arguments.split)
    held_out = select(clips, subsets, "test", arguments.split)
    files = find_alignments(held_out, arguments.align)
    said = {
        clip: () if file is None else read_alignment(file)
        for clip, file in zip(held_out, files, strict=True)
    }
    train, test = load(training), load(held_out)
    words: list[tuple[Word, ...]] = [said[path] for path in test.paths]
    bare = [p.stem for p, w in zip(test.paths, words, strict=True) if not w]
    if bare:
        where = "any" if len(bare) == len(words) else f"{len(bare)}"
        warn(
            f"no word alignments for {where} of the {len(words)} test clips, such as "
            f"{bare[0]}: STOI and ESTOI of these are over whole clips; give the "
            "folder of alignments with --align"
        )
    kept = arguments.output / "systems"
    kept.mkdir(exist_ok=True)
    experiment = run_experiment(
        all_systems(arguments.seed),
        train,
        test,
        kept,
        words=words,
        settings=settings,
        seed=arguments.seed,
        n_jobs=arguments.jobs,
        strict=arguments.strict,
        tell=tell_above_bar,
        warn=warn,
    )
    seconds = time.perf_counter() - began
    report = write_results(experiment, arguments.output, seconds)
    print(markdown_tables(experiment))
    print(f"done in {time.perf_counter() - began:.0f} s\nreport: {report}", flush=True)

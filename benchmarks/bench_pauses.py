"""Clips cut to their words: what to take off their lip features.

    python benchmarks/bench_pauses.py FOLDER [--test]

FOLDER holds ``clips``, ``split.csv`` and the word alignments ``align``. Makes speech of
whole clips and of the same clips cut from their first word to their last, and scores
both on the words alone, by mel-cepstral distortion. Taken off are each clip's most
probable offset, as the application does, its mean, or nothing. Without ``--test`` the
model is fitted on five sixths of the training clips and scored on the others: choose by
that. Writes ``benchmarks/results/bench_pauses.json`` and ``.md``, without ``--test``
``bench_pauses_held_out``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _tables import RESULTS, Runs, describe_run, figures_table, write_results
from bench_grid import clips, clips_parser
from bench_recipe import split_clips
from threadpoolctl import threadpool_limits

from sklearn_drm import GGDRMRegressor
from sklearn_drm.lipspeech import LipSpeechConverter
from sklearn_drm.lipspeech.alignments import (
    find_alignments,
    read_alignment,
    spoken_part,
)
from sklearn_drm.lipspeech.features import ClipFeatures, FeatureSettings
from sklearn_drm.metrics import mel_cepstral_distortion

HEADS = {"whole": ("whole clips (dB)", 2), "cut": ("cut to their words (dB)", 2)}


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns what is written as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = clips_parser((__doc__ or "").split("\n")[0])
    parser.add_argument("--test", action="store_true", help="score the test clips")
    arguments = parser.parse_args(words)
    settings = FeatureSettings(box=arguments.box)
    train, scored = clips(arguments, settings)
    if not arguments.test:
        train, scored = split_clips(train, 5)
    spoken = _spoken(arguments.folder, scored, settings.frame_rate)
    regressor = (
        GGDRMRegressor(n_hidden_units=6, fine_tune_epochs=2)
        if arguments.quick
        else None
    )
    table = [Runs(name) for name in ("offsets (default)", "means", "nothing")]
    for seed in range(1 if arguments.quick else arguments.seeds):
        for removed in (True, False):
            converter = LipSpeechConverter(
                regressor, remove_clip_mean=removed, random_state=seed
            )
            with threadpool_limits(arguments.threads):
                converter.fit(train)
                # A converter that keeps means has one way alone.
                for runs, offsets in zip(
                    table[:2] if removed else table[2:], (True, False), strict=False
                ):
                    figures = _figures(converter, scored, spoken, offsets=offsets)
                    runs.runs.append({"seed": seed, **figures})
                    print(runs.system, figures, flush=True)
    which = "test" if arguments.test else "held-out training"
    text = (
        "What is taken off, and mel-cepstral distortion over the words of "
        f"{len(scored)} {which} clips; {len(train)} training clips; median [smallest, "
        "largest] over seeds of the model.\n\n" + figures_table(table, HEADS)
    )
    print("\n" + text)
    results = {
        "run": describe_run("bench_pauses.py", words, arguments.threads),
        "scored_on": which,
        "clips": {"train": len(train), "scored": len(scored)},
        "systems": [runs.to_dict() for runs in table],
    }
    output = arguments.output
    if output is None and not arguments.quick:
        output = RESULTS / f"bench_pauses{'' if arguments.test else '_held_out'}"
    if output is not None:
        write_results(Path(output).with_suffix(".json"), results, text)
    return results


def _spoken(
    folder: Path, scored: Sequence[ClipFeatures], frame_rate: float
) -> list[slice]:
    """The frames of each clip from its first word to its last."""
    files = find_alignments([Path(clip.name) for clip in scored], folder / "align")
    parts = []
    for clip, file in zip(scored, files, strict=True):
        times = None if file is None else spoken_part(read_alignment(file))
        if times is None:
            raise SystemExit(f"bench_pauses.py: {clip.name}: no words in its alignment")
        parts.append(slice(*(round(time * frame_rate) for time in times)))
    return parts


def _figures(
    converter: LipSpeechConverter,
    scored: Sequence[ClipFeatures],
    spoken: Sequence[slice],
    *,
    offsets: bool,
) -> dict[str, float]:
    maps = converter.representation_
    ready = maps.as_converted if offsets else lambda views: views
    cut = [
        replace(
            clip,
            lips=clip.lips[part],
            envelope=clip.envelope[part],
            excitation=clip.excitation[part],
        )
        for clip, part in zip(scored, spoken, strict=True)
    ]
    ends = np.cumsum([0, *(len(clip.lips) for clip in scored[:-1])])
    rows = np.concatenate(
        [
            np.arange(len(clip.lips))[part] + end
            for clip, part, end in zip(scored, spoken, ends, strict=True)
        ]
    )
    true = maps.cepstrum.transform(np.concatenate([clip.envelope for clip in cut]))
    complete, _ = converter.predict_views(ready(maps.views(scored)))
    alone, _ = converter.predict_views(ready(maps.views(cut)))
    return {
        name: float(mel_cepstral_distortion(true, maps.mel_cepstra(made)))
        for name, made in (("whole", complete[rows]), ("cut", alone))
    }


if __name__ == "__main__":
    main()

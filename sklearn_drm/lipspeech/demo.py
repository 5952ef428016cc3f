"""The demonstration: synthetic clips, a fit, conversions both ways, a report."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from joblib import cpu_count, delayed
from tqdm import tqdm

from drm_transformers.clips import ClipError, read_clip, write_clip, write_wav
from sklearn_drm.lipspeech import pages
from sklearn_drm.lipspeech.converter import LipSpeechConverter
from sklearn_drm.lipspeech.evaluation import evaluate, format_table
from sklearn_drm.lipspeech.features import (
    ClipFeatures,
    FeatureSettings,
    clip_features,
)
from sklearn_drm.lipspeech.parallel import results_of
from sklearn_drm.lipspeech.progress import fit_progress
from sklearn_drm.lipspeech.report import Report
from sklearn_drm.lipspeech.synthetic import iterate_lip_speech

__all__ = ["run_demo"]

PICTURE_SIZE = 110


def run_demo(
    folder: Path,
    *,
    seed: int = 0,
    n_jobs: int | None = None,
    n_train: int = 60,
    n_test: int = 8,
    seconds: float = 3.0,
) -> Path:
    """Show the whole way from clips to conversions on a synthetic talking mouth.

    Parameters
    ----------
    folder : pathlib.Path
        Where everything is written; made if it is not there.
    seed : int, default=0
    n_jobs : int, optional
        Processes at a time; None: one for each core.
    n_train, n_test : int, range [2, inf), default=60, 8
        Number of clips to fit on and of clips held out.
    seconds : float, default=3.0
        Length of each clip.

    Returns
    -------
    pathlib.Path
        The report.

    Raises
    ------
    ClipError
        If the folder cannot be written.
    """
    began = time.perf_counter()
    try:
        (folder / "clips").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClipError(
            f"{folder}: cannot be made or written ({error.strerror}); choose another "
            "folder with -o"
        ) from error
    settings = FeatureSettings(box=(0, 0, PICTURE_SIZE))

    print(f"1. Making {n_train + n_test} clips of a synthetic talking mouth")
    clips = list(
        tqdm(
            iterate_lip_speech(
                n_train + n_test, seconds, 25.0, 16_000, PICTURE_SIZE, seed
            ),
            total=n_train + n_test,
            desc="making clips",
            unit="clip",
            disable=None,
        )
    )
    training, held_out = clips[:n_train], clips[n_train:]
    # Two held-out clips go through real files, as anybody's own clips would.
    for k, clip in enumerate(held_out[:2]):
        file = folder / "clips" / f"{clip.name}.mp4"
        write_clip(file, clip.frames, clip.frame_rate, clip.waveform, clip.sample_rate)
        held_out[k] = read_clip(file, frame_rate=settings.frame_rate)

    print("2. Lip images and speech features")
    everything = [*training, *held_out]
    jobs = min(len(everything), n_jobs or cpu_count())
    calls = (delayed(clip_features)(clip, settings) for clip in everything)
    work = results_of(calls, jobs)
    features: list[ClipFeatures] = list(
        tqdm(work, total=len(everything), desc="features", unit="clip", disable=None)
    )

    print(f"3. Fitting one model for both directions on {n_train} clips")
    # A drawn mouth moves in fewer ways than a real one.
    converter = LipSpeechConverter(
        n_lip_components=20, settings=settings, random_state=seed
    )
    with fit_progress() as verbose:
        converter.set_params(verbose=verbose).fit(features[:n_train])
    model = folder / "model.joblib"
    converter.save(model)

    print(f"4. Scores on the {n_test} held-out clips")
    result = evaluate(converter, features[n_train:])
    print(format_table(result))

    print("5. Converting held-out clips both ways")
    page = Report(
        "A synthetic talking mouth, converted both ways",
        f"One model was fitted on {n_train} clips of {seconds:g} s. The {n_test} clips "
        "it is scored on, and the two below, were not among them.",
    )
    page.section("Scores")
    page.table(result)
    for k, clip in enumerate(held_out[:2]):
        shown = replace(features[n_train + k], name=clip.name)
        speech = converter.lips_to_speech(shown.lips)
        lips = converter.features_to_lips(shown)
        write_wav(
            folder / f"{clip.name}-speech-from-lips.wav",
            speech.waveform,
            speech.sample_rate,
        )
        write_clip(
            folder / f"{clip.name}-speech-from-lips.mp4",
            clip.frames,
            clip.frame_rate,
            speech.waveform,
            speech.sample_rate,
            size=(2 * PICTURE_SIZE, 2 * PICTURE_SIZE),
        )
        write_clip(
            folder / f"{clip.name}-lips-from-speech.mp4",
            lips,
            settings.frame_rate,
            clip.waveform,
            clip.sample_rate,
            size=(220, 220),
        )
        page.section(f"Held-out clip {clip.name}")
        pages.add_conversion(page, converter, shown, clip)
    page.section(
        "Your own clips",
        "Fit on videos of one speaker with 'sklearn-drm fit CLIPS -o model.joblib'; "
        "here the mouth filled the picture, there it is found from the face.",
    )
    report = folder / "report.html"
    page.write(report)
    print(f"Done in {time.perf_counter() - began:.0f} s. Model, sounds, videos and")
    print(f"report: {report}")
    return report

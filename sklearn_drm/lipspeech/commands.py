"""What the commands do, once their arguments are read."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drm_transformers.clips import (
    ClipError,
    atomic_path,
    read_clip,
    read_sound,
    write_clip,
    write_wav,
)
from sklearn_drm.lipspeech import pages
from sklearn_drm.lipspeech.colour import colour_frames
from sklearn_drm.lipspeech.converter import LipSpeechConverter
from sklearn_drm.lipspeech.evaluation import counted, format_table
from sklearn_drm.lipspeech.evaluation import evaluate as evaluate_converter
from sklearn_drm.lipspeech.feature_cache import (
    Loaded,
    default_cache,
    load_features,
    named,
)
from sklearn_drm.lipspeech.features import (
    FeatureSettings,
    lips_and_notes,
)
from sklearn_drm.lipspeech.intelligibility import require_extra
from sklearn_drm.lipspeech.progress import fit_progress
from sklearn_drm.lipspeech.recipe import default_regressor
from sklearn_drm.lipspeech.split import read_split, select

__all__ = [
    "demo",
    "evaluate",
    "experiment",
    "fit",
    "lips_to_speech",
    "speech_to_lips",
]

LIPS_SIZE = (220, 220)
"""Size of a written lip video: four times 55, which H.264 cannot hold."""

# Seconds of training clips below which it is said that they are few.
_LITTLE = 60.0


class CommandError(ValueError):
    """The command cannot do what is asked; one line that says why."""


def demo(arguments: Namespace) -> None:
    """Make clips, fit, convert both ways, and leave a report."""
    from sklearn_drm.lipspeech.demo import run_demo

    run_demo(arguments.output, seed=arguments.seed, n_jobs=arguments.jobs)


def fit(arguments: Namespace) -> None:
    """Fit a converter on clips and write it."""
    output: Path = arguments.output
    check_output(output)
    report = output.with_suffix(".html")
    if output.suffix.lower() in (".html", ".htm"):
        raise CommandError(
            f"{output}: the model's name must not end in {output.suffix}, the report "
            "beside it does; choose another such as model.joblib"
        )
    check_output(output, report, inputs=[*arguments.clips, *_split(arguments)])
    clips = _distinct(arguments.clips)
    if arguments.split is not None:
        subsets = read_split(arguments.split)
        clips = select(clips, subsets, "train", arguments.split)
    settings = FeatureSettings(_box(arguments))
    loaded = _load(clips, settings, arguments)
    sizes = {"n_hidden_layers": arguments.layers, "n_hidden_units": arguments.units}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    converter = LipSpeechConverter(
        default_regressor().set_params(**sizes) if sizes else None,
        context=arguments.context,
        remove_clip_mean=not arguments.keep_clip_mean,
        settings=settings,
        random_state=arguments.seed,
    )
    frames = sum(len(f.lips) for f in loaded.features)
    seconds = frames / settings.frame_rate
    if seconds < _LITTLE:
        _note(
            f"{seconds:.0f} s of clips are little to learn from; give a few minutes of "
            "one speaker"
        )
    print(f"fitting on {counted(len(loaded.features))}, {frames} frames", flush=True)
    with fit_progress() as verbose:
        converter.set_params(verbose=verbose).fit(loaded.features)
    page = pages.fit_page(converter, output.name)
    converter.save(output)
    page.write(report)
    print(f"fitted in {converter.fit_seconds_:.0f} s")
    print(f"model: {output}\nreport: {report}")


def lips_to_speech(arguments: Namespace) -> None:
    """Make sound for the lips of one video."""
    output: Path = arguments.output
    kind = _ending(output, (".wav", ".mp4"))
    report = output.with_suffix(".html")
    check_output(output, report, inputs=[arguments.model, arguments.video])
    converter = LipSpeechConverter.load(arguments.model)
    settings = _settings(converter, arguments)
    try:
        clip = read_clip(arguments.video)
    except ClipError as error:
        # Its sound is replaced anyway.
        clip = read_clip(arguments.video, sound="ignore")
        _note(f"warning: {error}; its pictures are used without the sound")
    _tell(arguments.video, clip.notes)
    paced = clip
    if abs(clip.frame_rate - settings.frame_rate) > 1e-3:
        paced = read_clip(
            arguments.video, frame_rate=settings.frame_rate, sound="ignore"
        )
    with _naming(arguments.video):
        lips, notes = lips_and_notes(paced, settings)
    _tell(arguments.video, notes)
    seconds = len(clip.frames) / clip.frame_rate
    speech = converter.lips_to_speech(
        lips, n_samples=round(seconds * settings.sample_rate)
    )
    page = pages.lips_to_speech_page(clip, lips, settings.frame_rate, speech)
    if kind == ".wav":
        write_wav(output, speech.waveform, speech.sample_rate)
    else:
        frames = colour_frames(arguments.video, clip.frames)
        if frames.ndim == 3:
            _note(
                f"{arguments.video}: written in black and white, since its coloured "
                "pictures do not match those that were read, as where frame times are "
                "uneven"
            )
        write_clip(output, frames, clip.frame_rate, speech.waveform, speech.sample_rate)
    page.write(report)
    print(f"{'sound' if kind == '.wav' else 'video'}: {output}\nreport: {report}")


def speech_to_lips(arguments: Namespace) -> None:
    """Make a video of moving lips for one sound."""
    output: Path = arguments.output
    _ending(output, (".mp4",))
    report = output.with_suffix(".html")
    inputs = [arguments.model, arguments.audio]
    if arguments.face is not None:
        inputs.append(arguments.face)
    check_output(output, report, inputs=inputs)
    converter = LipSpeechConverter.load(arguments.model)
    settings = _settings(converter, arguments)
    face = None
    if arguments.face is not None:
        shown = read_clip(
            arguments.face, frame_rate=settings.frame_rate, sound="ignore"
        )
        with _naming(arguments.face):
            faces, notes = lips_and_notes(shown, settings)
        face = faces.mean(axis=0)
        _tell(arguments.face, notes)
    # With a face, the box is where its mouth is.
    own = settings if arguments.face is None else converter.settings_
    waveform, rate, original = _sound_and_lips(arguments.audio, own)
    if not len(waveform):
        raise CommandError(f"{arguments.audio}: the sound has no samples")
    with _naming(arguments.audio):
        lips = converter.speech_to_lips(waveform, rate, face=face)
    page = pages.speech_to_lips_page(
        arguments.audio.name, waveform, rate, lips, settings.frame_rate, original
    )
    write_clip(output, lips, settings.frame_rate, waveform, rate, size=LIPS_SIZE)
    page.write(report)
    print(f"video: {output}\nreport: {report}")


def evaluate(arguments: Namespace) -> None:
    """Score a converter on test clips."""
    report: Path = arguments.output or arguments.model.with_suffix(".evaluation.html")
    outputs = [report] if arguments.json is None else [report, arguments.json]
    inputs = [arguments.model, *arguments.clips, *_split(arguments)]
    check_output(*outputs, inputs=inputs)
    if arguments.baselines and arguments.split is None:
        raise CommandError("--baselines needs --split, to know the training clips")
    converter = LipSpeechConverter.load(arguments.model)
    settings = _settings(converter, arguments)
    clips = _distinct(arguments.clips)
    training: list[Path] = []
    if arguments.split is not None:
        subsets = read_split(arguments.split)
        if arguments.baselines:
            training = select(clips, subsets, "train", arguments.split)
        clips = select(clips, subsets, "test", arguments.split)
    known = sorted({path.stem for path in clips} & set(converter.clip_names_))
    if known:
        _note(
            f"warning: {len(known)} of the clips, such as {known[0]}, have the name "
            "of a training clip; figures on training clips flatter"
        )
    loaded = _load(clips, settings, arguments)
    train = _load(training, settings, arguments).features if training else None
    if train is not None:
        print("fitting two pairs of multi-layer perceptrons", flush=True)
    result = evaluate_converter(
        converter, loaded.features, train=train, random_state=arguments.seed
    )
    examples = [
        (features, read_clip(path, frame_rate=settings.frame_rate))
        for features, path in list(zip(loaded.features, loaded.paths, strict=True))[:2]
    ]
    n_known = sum(path.stem in known for path in loaded.paths)
    page = pages.evaluation_page(
        converter, result, examples, arguments.model.name, n_known=n_known
    )
    print(format_table(result))
    if arguments.json is not None:
        with atomic_path(arguments.json) as temporary:
            text = json.dumps(result.to_dict(), indent=2, ensure_ascii=False)
            Path(temporary).write_text(text + "\n", encoding="utf-8")
    page.write(report)
    print(f"report: {report}")


def experiment(arguments: Namespace) -> None:
    """Run every system on the same clips and leave a report."""
    require_extra()
    # Its systems need the extra that was just looked for.
    from sklearn_drm.lipspeech.experiment_command import RESULTS, run_command

    folder: Path = arguments.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"{folder}: cannot be made or is no folder ({error.strerror}); choose "
            "another folder with -o"
        ) from error
    inputs = [arguments.split, *arguments.clips]
    check_output(*(folder / name for name in RESULTS), inputs=inputs)
    settings = FeatureSettings(_box(arguments))
    run_command(
        _distinct(arguments.clips),
        arguments,
        settings,
        lambda paths: _load(paths, settings, arguments),
        lambda line: _note(f"warning: {line}"),
    )


def check_output(*outputs: Path, inputs: Sequence[Path] = ()) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Parameters
    ----------
    outputs : pathlib.Path
        Files that the command is going to write.
    inputs : sequence of pathlib.Path, default=()
        Files that it reads, which must not be among them.

    Raises
    ------
    CommandError
        One line that names the output and says why.
    """
    for index, output in enumerate(outputs):
        if output.is_dir():
            raise CommandError(f"{output}: is a folder; give a file name")
        if output.exists() and not output.is_file():
            raise CommandError(f"{output}: is no file; give a file name")
        if os.path.realpath(output) in map(os.path.realpath, outputs[:index]):
            raise CommandError(f"{output}: would be written twice; give two names")
        # Of a link, that of the file it leads to.
        folder = Path(os.path.realpath(output)).parent
        if not folder.is_dir():
            raise CommandError(f"{output}: there is no folder {folder}; make it first")
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise CommandError(
                f"{output}: cannot write in {folder.absolute()} ({error.strerror}); "
                "choose another place with -o"
            ) from error
        for path in inputs:
            if path == output or (
                path.exists() and output.exists() and os.path.samefile(path, output)
            ):
                raise CommandError(
                    f"{output}: is an input as well; choose another name for the output"
                )


def _load(paths: list[Path], settings: FeatureSettings, arguments: Namespace) -> Loaded:
    """Features of clips; stops where too many of them are unusable."""
    try:
        loaded = load_features(
            paths,
            settings,
            cache=_cache_folder(arguments),
            n_jobs=arguments.jobs,
            warn=lambda line: _note(f"warning: {line}"),
            strict=arguments.strict,
        )
    except ClipError as error:
        raise CommandError(f"{error} (stopped because of --strict)") from error
    usable = len(loaded.features)
    if usable * 2 < len(paths) or not usable:
        raise CommandError(
            f"only {usable} of {len(paths)} clips are usable, which is under half; see "
            "the warnings above"
            if usable
            else f"none of {len(paths)} clips is usable; see the warnings above"
        )
    return loaded


def _cache_folder(arguments: Namespace) -> Path | None:
    try:
        folder: Path = arguments.cache or default_cache()
    except RuntimeError:  # a user without a home, as in a container
        _note("warning: no folder for a cache; features are not kept without --cache")
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = f"cannot write in the cache {folder} ({error.strerror})"
        if arguments.cache is not None:
            raise CommandError(f"{reason}; choose another with --cache") from error
        _note(f"warning: {reason}; features are not kept")
        return None
    return folder


def _settings(converter: LipSpeechConverter, arguments: Namespace) -> FeatureSettings:
    """The model's own settings, but for a mouth that lies elsewhere."""
    fitted = converter.settings_
    if arguments.box is None:
        return fitted
    return replace(fitted, box=_box(arguments), picture_size=None)


def _box(arguments: Namespace) -> tuple[float, float, float] | None:
    """The mouth's box that was given; None: look for the face."""
    return None if arguments.box == "face" else arguments.box


def _split(arguments: Namespace) -> list[Path]:
    return [] if arguments.split is None else [arguments.split]


def _sound_and_lips(
    path: Path, settings: FeatureSettings
) -> tuple[NDArray[np.float64], int, NDArray[np.uint8] | None]:
    """Sound of a file and, if it is a video that shows a mouth, its lips."""
    try:
        clip = read_clip(path, frame_rate=settings.frame_rate, sound="required")
    except ClipError:
        waveform, rate = read_sound(path)
        return waveform, rate, None
    assert clip.waveform is not None and clip.sample_rate is not None
    _tell(path, clip.notes)
    waveform, rate = read_sound(path)
    missed = len(waveform) / rate - len(clip.waveform) / clip.sample_rate
    if missed > 2 / settings.frame_rate:
        _note(
            f"{path}: its pictures leave out {missed:.2f} s of its sound; all of the "
            "sound is converted, and the report shows no lips beside it"
        )
        return waveform, rate, None
    try:
        lips, notes = lips_and_notes(clip, settings)
    except ClipError:
        return clip.waveform, clip.sample_rate, None
    _tell(path, notes)
    return clip.waveform, clip.sample_rate, lips


class _naming:
    """Put a file's name before the message of an error that lacks it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, ValueError) and str(self._path) not in str(error):
            raise CommandError(named(self._path, str(error))) from error


def _ending(path: Path, allowed: tuple[str, ...]) -> str:
    ending = path.suffix.lower()
    if ending not in allowed:
        raise CommandError(
            f"{path}: the output's name must end in {' or '.join(allowed)}"
        )
    return ending


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """The files without repetitions, which would count twice."""
    first: dict[str, Path] = {}
    for path in paths:
        first.setdefault(os.path.realpath(path), path)
    return list(first.values())


def _tell(path: Path, notes: Sequence[str]) -> None:
    for note in notes:
        _note(f"warning: {path}: {note}")


def _note(line: str) -> None:
    print(f"sklearn-drm: {line}", file=sys.stderr, flush=True)

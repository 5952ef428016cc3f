"""The command ``sklearn-drm``: arguments, messages and exit statuses."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from sklearn_drm.lipspeech.interruption import Interruption, interruptions_later

__all__ = ["build_parser", "main"]

_USAGE, _INTERRUPTED = 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without the usage in front of it."""
        line = " ".join(message.split())
        self.exit(_USAGE, f"{self.prog}: error: {line}; see {self.prog} --help\n")


_MODEL = "written by fit"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments.

    Returns
    -------
    argparse.ArgumentParser

    Examples
    --------
    >>> from sklearn_drm.lipspeech.cli import build_parser
    >>> build_parser().parse_args(["demo"]).output
    PosixPath('sklearn-drm-demo')
    """
    common = _Parser(add_help=False)
    group = common.add_argument_group("options of every command")
    group.add_argument(
        "--cache",
        type=_path,
        metavar="DIR",
        help="folder that keeps features of clips (default: SKLEARN_DRM_CACHE, or "
        "sklearn-drm in the user's cache folder)",
    )
    group.add_argument(
        "--seed", type=_count, default=0, metavar="N", help="random seed (default: 0)"
    )
    group.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help="processes at a time (default: one for each core)",
    )
    group.add_argument(
        "--strict", action="store_true", help="stop at the first unusable clip"
    )
    group.add_argument(
        "--debug", action="store_true", help="show a traceback when something fails"
    )
    box = _Parser(add_help=False)
    box.add_argument(
        "--box",
        type=_box,
        metavar="X,Y,SIZE",
        help="the mouth's place in the picture as a player shows it, in pixels (left, "
        "top, side), or 'face' to find it from the face",
    )

    parser = _Parser(
        prog="sklearn-drm",
        description="One model, both ways: lip images to speech and speech to lip "
        "images with a Deep Relational Model.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )

    demo = commands.add_parser(
        "demo",
        parents=[common],
        help="fit and convert a synthetic talking mouth; nothing to download",
        description="Fit and convert a synthetic talking mouth, made by code, both "
        "ways, and show it in a report. Takes about a minute.",
    )
    demo.add_argument(
        "-o",
        "--output",
        type=_path,
        default=Path("sklearn-drm-demo"),
        metavar="DIR",
        help="folder for what is made (default: sklearn-drm-demo)",
    )

    fit = commands.add_parser(
        "fit",
        parents=[common, box],
        help="fit a model on video clips with sound",
        description="Fit a model on video clips of one speaker with sound. It converts "
        "both ways.",
    )
    fit.add_argument(
        "clips", type=_path, nargs="+", metavar="CLIP", help="video with sound"
    )
    fit.add_argument(
        "--split",
        type=_path,
        metavar="CSV",
        help="table with columns clip,subset; only clips of subset train are used",
    )
    fit.add_argument(
        "-o",
        "--output",
        type=_file,
        required=True,
        metavar="MODEL",
        help="the model, such as model.joblib; its report is written beside it",
    )
    fit.add_argument(
        "--context",
        type=_count,
        default=4,
        metavar="K",
        help="neighbouring frames on each side that the model sees (default: 4)",
    )
    fit.add_argument(
        "--units",
        type=_positive,
        metavar="N",
        help="hidden units in each layer (default: 100); more are better with a few "
        "minutes of clips, and slower",
    )
    fit.add_argument(
        "--layers", type=_positive, metavar="N", help="hidden layers (default: 2)"
    )
    fit.add_argument(
        "--keep-clip-mean",
        action="store_true",
        help="leave in the lip features what lasts a whole clip, such as the light and "
        "the place of the mouth; for clips that are all lit and cut alike",
    )

    speech = commands.add_parser(
        "lips-to-speech",
        parents=[common, box],
        help="make sound for the lips in a video, which may be silent",
        description="Make sound for the lips in a video, which may be silent.",
    )
    speech.add_argument("model", type=_path, metavar="MODEL", help=_MODEL)
    speech.add_argument(
        "video", type=_path, metavar="VIDEO", help="shows the speaker's mouth"
    )
    speech.add_argument(
        "-o",
        "--output",
        type=_file,
        required=True,
        metavar="OUT",
        help="OUT.wav: the sound; OUT.mp4: the picture with the new sound",
    )

    lips = commands.add_parser(
        "speech-to-lips",
        parents=[common, box],
        help="make a video of moving lips for a sound",
        description="Make a video of moving lips for a sound, which goes with them. "
        "With --face, --box is the mouth's place in that clip.",
    )
    lips.add_argument("model", type=_path, metavar="MODEL", help=_MODEL)
    lips.add_argument(
        "audio", type=_path, metavar="AUDIO", help="sound, or video with sound"
    )
    lips.add_argument(
        "-o", "--output", type=_file, required=True, metavar="OUT", help="OUT.mp4"
    )
    lips.add_argument(
        "--face",
        type=_path,
        metavar="CLIP",
        help="video of the face to move (default: the mean of the training clips)",
    )

    evaluate = commands.add_parser(
        "evaluate",
        parents=[common, box],
        help="score a model on clips beside simple baselines",
        description="Score a model on clips that it was not fitted on, beside the "
        "training mean and a ridge regression that are stored with it.",
    )
    evaluate.add_argument("model", type=_path, metavar="MODEL", help=_MODEL)
    evaluate.add_argument(
        "clips", type=_path, nargs="+", metavar="CLIP", help="video with sound"
    )
    evaluate.add_argument(
        "--split",
        type=_path,
        metavar="CSV",
        help="table with columns clip,subset; scores are of subset test",
    )
    evaluate.add_argument(
        "--baselines",
        action="store_true",
        help="fit two pairs of multi-layer perceptrons on subset train as well, one "
        "stopped on rows, one on clips (needs --split)",
    )
    evaluate.add_argument(
        "-o",
        "--output",
        type=_file,
        metavar="REPORT",
        help="the report (default: MODEL with the ending .evaluation.html)",
    )
    evaluate.add_argument(
        "--json", type=_file, metavar="FILE", help="write the figures here as well"
    )

    compared = (
        "compare every system of the experiment, those that the model's paper "
        "compares or builds on, on the same clips; a second run goes on where the "
        "first one stopped"
    )
    experiment = commands.add_parser(
        "experiment",
        parents=[common, box],
        help=compared,
        description=compared[0].upper() + compared[1:] + ".",
    )
    experiment.add_argument(
        "clips", type=_path, nargs="+", metavar="CLIP", help="video with sound"
    )
    experiment.add_argument(
        "--split",
        type=_path,
        required=True,
        metavar="CSV",
        help="table with columns clip,subset: systems are fitted on subset train and "
        "compared on subset test",
    )
    experiment.add_argument(
        "-o",
        "--output",
        type=_path,
        required=True,
        metavar="DIR",
        help="folder for report.html, results.json, table.md, figures and what is kept "
        "of each system",
    )
    experiment.add_argument(
        "--align",
        type=_path,
        metavar="DIR",
        help="folder of word alignments CLIP.align with lines 'start end word', 1000 "
        "for each video frame (default: the folder align beside a clip's folder)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; None: those of the process.

    Returns
    -------
    int
        Exit status: 0, 1 after a fault of the program, 2 where the input cannot
        be used, 130 after an interruption.
    """
    _open_streams()
    name, debug = "sklearn-drm", False
    interruption = Interruption()
    try:
        with interruption.watched(at_exit=argv is None):
            try:
                arguments = build_parser().parse_args(argv)
            except SystemExit as stop:
                return int(stop.code or 0)
            name, debug = f"{name} {arguments.command}", arguments.debug
            with _short_warnings(name):
                _run(arguments)
                sys.stdout.flush()
    except (KeyboardInterrupt, Exception) as error:
        # Python 3.11 makes a RuntimeError of one that comes while a class is made, and
        # joblib one of its own of one that comes while it starts its processes.
        causes = error, error.__cause__
        if interruption.came or any(isinstance(e, KeyboardInterrupt) for e in causes):
            _say(f"{name}: interrupted")
            # One that came inside an exec, as when a dataclass is made: `python -m`
            # would die of it at its end, whoever caught it. The next exec clears that.
            exec("")
            return _INTERRUPTED
        if isinstance(error, BrokenPipeError):
            # The reader of our output has gone; Python would complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if debug:
            traceback.print_exc()
        status, line = _described(error)
        _say(f"{name}: error: {line}")
        return status
    return 0


def _open_streams() -> None:
    """Make both streams take any text, whatever the locale and wherever they go."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as in `>&-`
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: argparse.Namespace) -> None:
    try:
        # An extension module stopped while it is loaded can abort Python at its end, as
        # that of Matplotlib's fonts does.
        with interruptions_later():
            from sklearn_drm.lipspeech import commands
    except ImportError as error:
        raise _MissingExtra(
            f"{error}; the application needs more libraries: "
            'pip install ".[lipspeech]" in a clone of the package'
        ) from error
    getattr(commands, arguments.command.replace("-", "_"))(arguments)


class _MissingExtra(ValueError):
    pass


def _described(error: BaseException) -> tuple[int, str]:
    """Exit status and one line for anything that went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _USAGE, f"{where}{error.strerror or text}"
    if isinstance(error, MemoryError):
        return _USAGE, (
            "not enough memory; give fewer or shorter clips, or fit with less --context"
        )
    if isinstance(error, ValueError):
        return _USAGE, text
    return 1, (
        f"{type(error).__name__}: {text}; this is a fault of sklearn-drm, run it "
        "again with --debug for the details"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _short_warnings(name: str) -> Iterator[None]:
    """Show warnings as one line each, without the source line they come from."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _say(f"{name}: warning: {' '.join(str(message).split())}")

    with warnings.catch_warnings():
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        warnings.showwarning = show
        yield


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"sklearn-drm {version('sklearn-drm')}"
    except PackageNotFoundError:
        return "sklearn-drm (not installed)"


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError("an empty file name")
    return Path(text)


def _file(text: str) -> Path:
    if text.endswith(("/", os.sep)):
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; give a file name")
    return _path(text)


def _count(text: str) -> int:
    return _whole(text, 0)


def _positive(text: str) -> int:
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value < 2**32:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number of {least} or more"
        )
    return value


def _box(text: str) -> tuple[float, float, float] | str:
    if text == "face":
        return text
    try:
        x, y, side = (float(part) for part in text.split(","))
    except ValueError:
        x = y = side = -1.0
    if not (x >= 0 and y >= 0 and 0 < side < 1e6):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not x,y,size in pixels, such as 120,150,90"
        )
    return x, y, side

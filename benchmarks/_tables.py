"""Figures of repeated runs: their medians and spread, tables, result files.

Not a script: shared by the scripts of this folder.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import sklearn_drm

__all__ = [
    "RESULTS",
    "Runs",
    "common_arguments",
    "compare",
    "describe_run",
    "figures_table",
    "markdown_table",
    "output_path",
    "ratios_table",
    "shown",
    "timed",
    "write_results",
]

RESULTS = Path(__file__).parent / "results"

T = TypeVar("T")


class Runs:
    """Figures of one system over several runs.

    Parameters
    ----------
    system : str
        Its name.
    kind : str
        What sort of system it is.

    Attributes
    ----------
    runs : list of dict of str to float or None
        One record per run.
    """

    def __init__(self, system: str, kind: str = "") -> None:
        self.system = system
        self.kind = kind
        self.runs: list[dict[str, float | None]] = []

    def values(self, figure: str) -> list[float]:
        """Known values of one figure."""
        found = (run.get(figure) for run in self.runs)
        return [value for value in found if value is not None]

    def median(self, figure: str) -> float | None:
        """Median of one figure; None where no run has it."""
        values = self.values(figure)
        return float(np.median(values)) if values else None

    def cell(self, figure: str, decimals: int) -> str:
        """Median and, where there is any, spread: ``0.23 [0.22, 0.24]``."""
        middle, values = self.median(figure), self.values(figure)
        if middle is None:
            return "–"
        text = shown(middle, decimals)
        if len(values) > 1:
            text += f" [{shown(min(values), decimals)}, {shown(max(values), decimals)}]"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        figures = dict.fromkeys(name for run in self.runs for name in run)
        summary = {
            name: {
                "median": self.median(name),
                "min": min(self.values(name)),
                "max": max(self.values(name)),
            }
            for name in figures
            if name != "seed" and self.values(name)
        }
        return {
            "system": self.system,
            "kind": self.kind,
            "summary": summary,
            "runs": self.runs,
        }


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Result of some work, its wall-clock and its processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - processor


def compare(
    system: Runs,
    others: Sequence[Runs],
    figures: Sequence[str],
    *,
    seconds: str = "fit_seconds",
) -> list[dict[str, Any]]:
    """Ratios of medians of one system over those of others, best other first.

    Parameters
    ----------
    system : Runs
    others : sequence of Runs
    figures : sequence of str
        Scores, larger is better.
    seconds : str
        The figure that is a time.

    Returns
    -------
    list of dict
        The other's name, the ratio of each figure and of the time; None where a
        ratio has no meaning, one of its terms not being positive. The best other is
        the one whose scores, each relative to the best one's, sum to most.
    """
    best = {
        name: max((other.median(name) or 0.0 for other in others), default=0.0)
        for name in figures
    }

    def merit(other: Runs) -> float:
        return sum(
            (other.median(name) or 0.0) / best[name]
            for name in figures
            if best[name] > 0
        )

    return [
        {
            "over": other.system,
            **{
                name: _ratio(system.median(name), other.median(name))
                for name in (*figures, seconds)
            },
        }
        for other in sorted(others, key=merit, reverse=True)
    ]


def _ratio(above: float | None, below: float | None) -> float | None:
    if above is None or below is None or min(above, below) <= 0:
        return None
    return above / below


def shown(value: float | None, decimals: int = 3) -> str:
    """A number, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    # Adding 0 turns -0 into 0.
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose source lines up.

    Examples
    --------
    >>> print(markdown_table(["system", "R²"], [["mean", "0"]]))
    | system | R² |
    | ------ | -- |
    | mean   | 0  |
    """
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        )
        + " |"
        for line in lines
    )


def figures_table(table: Sequence[Runs], heads: Mapping[str, tuple[str, int]]) -> str:
    """One line per system, medians and spread; heads: title and decimals."""
    rows = [
        [runs.system, *(runs.cell(name, digits) for name, (_, digits) in heads.items())]
        for runs in table
    ]
    return markdown_table(["system", *(title for title, _ in heads.values())], rows)


def ratios_table(
    ratios: Sequence[Mapping[str, Any]], heads: Mapping[str, tuple[str, int]]
) -> str:
    """What `compare` gives, as a table."""
    names = [name for name in ratios[0] if name != "over"]
    rows = [
        [ratio["over"], *(shown(ratio[name]) for name in names)] for ratio in ratios
    ]
    return markdown_table(["over", *(heads[name][0] for name in names)], rows)


def common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every comparison has."""
    parser.add_argument(
        "--seeds", type=int, default=3, help="runs of each system (default: 3)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of linear algebra, for all systems alike (default: 1)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny data and fits: only whether everything runs",
    )
    parser.add_argument(
        "--no-likelihood", action="store_true", help="leave out log-likelihoods"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="JSON",
        help="results, with a Markdown table beside them (default: in "
        "benchmarks/results, nothing with --quick)",
    )


def output_path(arguments: argparse.Namespace, name: str) -> Path | None:
    """Where results go; None: nowhere."""
    if arguments.output is not None:
        return Path(arguments.output).with_suffix(".json")
    return None if arguments.quick else RESULTS / f"{name}.json"


def describe_run(script: str, argv: Sequence[str], threads: int) -> dict[str, Any]:
    """When, where and how a benchmark was run.

    Parameters
    ----------
    script : str
        Its name.
    argv : sequence of str
        Its arguments; of paths only the last part is kept.
    threads : int
        Threads of linear algebra.

    Returns
    -------
    dict
    """
    names = [Path(word).name if os.sep in word else word for word in argv]
    return {
        "benchmark": script,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"python benchmarks/{script} {shlex.join(names)}".rstrip(),
        "processor": _processor(),
        "vector_instructions": _vector_instructions(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            "sklearn-drm": sklearn_drm.__version__,
            **{name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        },
    }


def write_results(path: Path, results: dict[str, Any], text: str) -> None:
    """Write numbers as JSON, and what was printed as Markdown beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(results, indent=1, ensure_ascii=False)
    path.write_text(numbers + "\n", encoding="utf-8")
    run = results["run"]
    versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
    head = (
        f"# {run['benchmark']}\n\n"
        f"{run['date']}; {run['processor']}, {run['cores']} cores, NumPy with "
        f"{run['vector_instructions']}, linear algebra on {run['threads']} thread(s); "
        f"{run['system']}; {versions}.\n\n"
        f"    {run['command']}\n\n"
    )
    path.with_suffix(".md").write_text(head + text.strip() + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()


def _vector_instructions() -> str:
    """The widest set that NumPy uses here, by its own name."""
    sets: dict[str, list[str]] = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*sets["baseline"], *sets.get("found", [])][-1]

"""Draws which parts of the package import which, from the code as it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import grimp
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Place (across, up) of each part: what is lower never imports what is higher.
PLACES = {
    "sklearn_drm.lipspeech": (1.3, 5),
    "sklearn_drm.inspection": (0.0, 4),
    "sklearn_drm.two_view, swap_views, metrics": (1.7, 3),
    "sklearn_drm.estimators": (0.75, 2),
    "sklearn_drm.learning": (0.05, 1),
    "sklearn_drm.core": (0.95, 0),
    "drm_transformers": (2.6, 3),
}
COMPOSITION = "sklearn_drm.two_view, swap_views, metrics"


def part_of(module: str) -> str | None:
    """The box that a module belongs to; None for the package's own ``__init__``."""
    if module.split(".")[0] == "drm_transformers":
        return "drm_transformers"
    pieces = module.split(".")
    if len(pieces) == 1:
        return None
    name = ".".join(pieces[:2])
    return name if name in PLACES else COMPOSITION


def count_imports() -> Counter[tuple[str, str]]:
    """Number of module-to-module imports between parts."""
    graph = grimp.build_graph("sklearn_drm", "drm_transformers", cache_dir=None)
    found: Counter[tuple[str, str]] = Counter()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = (part_of(importer), part_of(imported))
            if None not in pair and pair[0] != pair[1]:
                found[pair] += 1  # type: ignore[index]
    return found


def draw_imports(root: Path, target: Path) -> None:
    """Write the picture as SVG."""
    figure = Figure(figsize=(8.6, 5.6))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-0.62, 2.95), ylim=(-0.45, 5.45))
    axis.set_axis_off()
    for (importer, imported), count in sorted(count_imports().items()):
        (x0, y0), (x1, y1) = PLACES[importer], PLACES[imported]
        axis.annotate(
            "",
            xy=(x1, y1),
            xytext=(x0, y0),
            arrowprops={
                "arrowstyle": "-|>",
                "color": "0.45",
                "linewidth": 0.6 + 0.16 * min(count, 12),
                "shrinkA": 20,
                "shrinkB": 20,
            },
        )
        axis.text(
            (x0 + x1) / 2,
            (y0 + y1) / 2,
            str(count),
            fontsize=8,
            ha="center",
            va="center",
            color="0.25",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "linewidth": 0},
        )
    for part, (x, y) in PLACES.items():
        title = part.replace("sklearn_drm.two_view, ", "sklearn_drm.two_view,\n")
        other = part == "drm_transformers"
        axis.text(
            x,
            y,
            title,
            ha="center",
            va="center",
            fontsize=10,
            bbox={
                "boxstyle": "round,pad=0.5",
                "facecolor": "#fde9cf" if other else "#dbe9f6",
                "edgecolor": "#b35806" if other else "#2166ac",
            },
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})

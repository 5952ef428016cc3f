"""Draws which parts of the package import which, from the code as it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import grimp
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

# Centre (across, up) of the box of each part: what is lower never imports what is
# higher. No arrow between two boxes passes a third one.
PLACES = {
    "lipspeech": (7.6, 6.2),
    "inspection": (1.8, 5.2),
    "two_view": (4.7, 4.1),
    "onnx_export": (0.7, 4.3),
    "estimators": (5.6, 2.8),
    "metrics": (9.5, 4.1),
    "learning": (5.6, 1.4),
    "versioned": (8.9, 2.0),
    "views": (0.9, 1.3),
    "core": (2.4, 0.0),
    "drm_transformers": (12.0, 4.1),
}
# Modules that share the box of another one.
SHARED = {"swap_views": "two_view", "fitted_view": "two_view"}
TITLES = {"two_view": "two_view, swap_views"}
WIDTHS = {"two_view": 2.5, "drm_transformers": 2.1}
WIDTH, HEIGHT = 1.5, 0.68


def part_of(module: str) -> str | None:
    """The box that a module belongs to; None for a package's own ``__init__``.

    Raises
    ------
    KeyError
        For a module that has no box yet.
    """
    package, *rest = module.split(".")
    if package == "drm_transformers":
        return package
    if not rest or rest[0] == "_version":
        return None
    part = SHARED.get(rest[0], rest[0])
    if part not in PLACES:
        raise KeyError(f"give {module} a place in {Path(__file__).name}")
    return part


def count_imports() -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Modules of each part, and imports of modules between parts."""
    graph = grimp.build_graph("sklearn_drm", "drm_transformers", cache_dir=None)
    sizes: Counter[str] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    for importer in graph.modules:
        start = part_of(importer)
        if start is None:
            continue
        sizes[start] += 1
        for imported in graph.find_modules_directly_imported_by(importer):
            end = part_of(imported)
            if end is not None and end != start:
                found[start, end] += 1
    return sizes, found


def _box(
    middle: tuple[float, float], size: tuple[float, float], face: str, edge: str
) -> FancyBboxPatch:
    (x, y), (width, height) = middle, size
    return FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.12",
        facecolor=face,
        edgecolor=edge,
    )


def draw_imports(target: Path) -> None:
    """Write the picture as SVG.

    Raises
    ------
    ValueError
        If a part imports another one that is not below it.
    """
    sizes, found = count_imports()
    figure = Figure(figsize=(9.2, 4.97))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-0.5, 13.2), ylim=(-0.55, 6.85), aspect="equal")
    axis.set_axis_off()
    axis.add_patch(_box((5.05, 3.1), (10.6, 7.1), "#f4f8fc", "none"))
    axis.text(-0.05, 6.35, "sklearn_drm", fontsize=12, color="#2166ac", weight="bold")

    boxes = {}
    for part, place in PLACES.items():
        other = part == "drm_transformers"
        colours = ("#fde9cf", "#b35806") if other else ("#dbe9f6", "#2166ac")
        boxes[part] = _box(place, (WIDTHS.get(part, WIDTH), HEIGHT), *colours)
        axis.add_patch(boxes[part])
        x, y = place
        axis.text(x, y + 0.1, TITLES.get(part, part), ha="center", va="center")
        plural = "module" if sizes[part] == 1 else "modules"
        axis.text(
            x,
            y - 0.16,
            f"{sizes[part]} {plural}",
            ha="center",
            va="center",
            fontsize=7.5,
            color="0.35",
        )
    for (importer, imported), count in sorted(found.items()):
        start, end = PLACES[importer], PLACES[imported]
        if end[1] >= start[1]:
            raise ValueError(f"{importer} imports {imported}, which is not below it")
        arrow = FancyArrowPatch(
            start,
            end,
            patchA=boxes[importer],
            patchB=boxes[imported],
            shrinkA=0,
            shrinkB=2,
            arrowstyle="-|>",
            mutation_scale=12,
            color="0.4",
            linewidth=0.8 + 0.12 * min(count, 12),
        )
        axis.add_patch(arrow)
        (x0, y0), (x1, y1) = start, end
        axis.text(
            (x0 + x1) / 2,
            (y0 + y1) / 2,
            str(count),
            fontsize=9,
            ha="center",
            va="center",
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "linewidth": 0},
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})

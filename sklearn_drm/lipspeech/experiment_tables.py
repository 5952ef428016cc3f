"""The figures of an experiment as HTML and Markdown tables."""

from __future__ import annotations

import html
from collections.abc import Callable

from sklearn_drm.lipspeech.experiment_measures import MEASURES, Figure, Measure
from sklearn_drm.lipspeech.experiment_records import Experiment, SystemResult

__all__ = [
    "best_of",
    "definitions",
    "html_table",
    "markdown_tables",
    "meanings",
    "part_note",
    "spread_note",
]

_TITLES = {"speech": "Speech from lips", "lips": "Lips from speech"}
_DISTANCE: dict[str, Callable[[float], float]] = {
    "high": lambda value: -value,
    "low": lambda value: value,
    "one": lambda value: abs(value - 1),
}


def rows_of(experiment: Experiment, view: str) -> list[SystemResult]:
    """Systems that predict a view, in the order of the experiment."""
    keys = [m.key for m in _columns(view)]
    return [
        result
        for result in experiment.results
        if any(result.figures[key].value is not None for key in keys)
    ]


def html_table(experiment: Experiment, view: str) -> str:
    """All systems in one direction; the best value of each column is marked.

    Parameters
    ----------
    experiment : Experiment
    view : {'speech', 'lips'}
        What is predicted.

    Returns
    -------
    str
        HTML.
    """
    columns, rows = _columns(view), rows_of(experiment, view)
    best = {column.key: _best(column, rows) for column in columns}
    heads = "".join(f"<th>{html.escape(column.head)}</th>" for column in columns)
    lines = []
    for result in rows:
        cells = [
            _cell(column, result.figures[column.key], best[column.key])
            for column in columns
        ]
        lines.append(_line(result, "".join(cells), ""))
    if view == "speech":
        for k, result in enumerate(experiment.ceilings):
            cells = [_cell(c, result.figures[c.key], None) for c in columns]
            lines.append(_line(result, "".join(cells), "" if k else ' class="above"'))
    return (
        '<div class="scroll plain"><table><thead><tr><th>system</th><th>fit (s)</th>'
        f"{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def markdown_tables(experiment: Experiment) -> str:
    """Both directions as Markdown.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    str
    """
    parts = []
    for view, title in _TITLES.items():
        columns, rows = _columns(view), rows_of(experiment, view)
        if view == "speech":
            rows = [*rows, *experiment.ceilings]
        heads = ["system", "fit (s)", *(column.head for column in columns)]
        lines = [f"### {title}", "", _bars(heads), _bars(["---"] * len(heads))]
        for result in rows:
            values = [_text(c, result.figures[c.key]) for c in columns]
            lines.append(_bars([result.name, _seconds(result), *values]))
        parts.append("\n".join(lines))
    parts.append(f"{spread_note()} {part_note(experiment)}")
    return "\n\n".join(parts) + "\n"


def meanings(view: str) -> str:
    """What the columns of a table mean, as an HTML list."""
    return definitions({m.head: m.meaning for m in _columns(view)})


def definitions(meanings: dict[str, str]) -> str:
    """Words and what they mean, as an HTML list."""
    items = "".join(
        f"<dt>{html.escape(word)}</dt><dd>{html.escape(meaning)}.</dd>"
        for word, meaning in meanings.items()
    )
    return f"<dl>{items}</dl>"


def best_of(experiment: Experiment, key: str) -> tuple[str, float] | None:
    """Name and value of the system with the highest value of a measure."""
    values = [
        (value, result.name)
        for result in experiment.results
        if (value := result.figures[key].value) is not None
    ]
    if not values:
        return None
    value, name = max(values)
    return name, value


def spread_note() -> str:
    """How the figures after ± were made."""
    return (
        "A value is taken over all test clips together; after ± stands the standard "
        "deviation over clips (for modulation spectra by the jackknife)."
    )


def part_note(experiment: Experiment) -> str:
    """What STOI and ESTOI were measured over."""
    n, aligned = len(experiment.targets), experiment.n_aligned
    if not aligned:
        return (
            "STOI and ESTOI are of whole clips, pauses included, because there were no "
            "word alignments."
        )
    if aligned == n:
        return (
            "STOI and ESTOI are of the spoken part of each clip, from its first word "
            "to its last."
        )
    return (
        f"STOI and ESTOI are of the spoken part of {aligned} clips, from the first "
        f"word to the last, and of the whole of the {n - aligned} others, which have "
        "no word alignment: do not compare them with figures of spoken parts alone."
    )


def _columns(view: str) -> list[Measure]:
    return [measure for measure in MEASURES if measure.view == view]


def _best(column: Measure, rows: list[SystemResult]) -> str | None:
    """The best value as it is shown, so that ties show too."""
    values = [
        value for row in rows if (value := row.figures[column.key].value) is not None
    ]
    if not values:
        return None
    return _number(column, min(values, key=_DISTANCE[column.best]))


def _line(result: SystemResult, cells: str, mark: str) -> str:
    name = html.escape(result.name)
    return f"<tr{mark}><td>{name}</td><td>{_seconds(result)}</td>{cells}</tr>"


def _seconds(result: SystemResult) -> str:
    if result.predictions is None:
        return "–"
    seconds = result.predictions.fit_seconds
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def _cell(column: Measure, figure: Figure, best: str | None) -> str:
    if figure.value is None:
        return "<td>–</td>"
    text = _number(column, figure.value)
    shown = f'<span class="best">{text}</span>' if text == best else text
    if figure.spread is None:
        return f"<td>{shown}</td>"
    spread = f"{figure.spread:.{column.digits}f}"
    return f'<td>{shown}<br><span class="spread">± {spread}</span></td>'


def _text(column: Measure, figure: Figure) -> str:
    if figure.value is None:
        return "–"
    text = _number(column, figure.value)
    if figure.spread is None:
        return text
    return f"{text} ± {figure.spread:.{column.digits}f}"


def _number(column: Measure, value: float) -> str:
    return f"{value:.{column.digits}f}".replace("-", "−")


def _bars(cells: list[str]) -> str:
    return f"| {' | '.join(' '.join(c.replace('|', '/').split()) for c in cells)} |"

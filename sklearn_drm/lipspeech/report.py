"""Self-contained HTML reports: pictures, players and scores in one file."""

from __future__ import annotations

import base64
import html
import io
import os
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drm_transformers.clips import atomic_path, write_clip
from sklearn_drm.lipspeech.evaluation import Evaluation, counted
from sklearn_drm.lipspeech.limiter import within_full_scale

__all__ = [
    "Report",
    "audio_player",
    "data_uri",
    "score_table",
    "video_player",
]

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6675; --line: #d9dee6;
  --paper: #fbfcfd; --card: #ffffff; --best: #0a6b4f; --accent: #2f5fb3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #a2acba;
  --line: #353c48; --paper: #14171c; --card: #1d2127; --best: #6fd6b2;
  --accent: #8fb4f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 1.25rem; margin: 44px 0 10px; padding-top: 18px;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 22px 0 8px; }
p { margin: 8px 0; max-width: 72ch; overflow-wrap: anywhere; }
.lead, figcaption, .note { color: var(--soft); }
figure { margin: 14px 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 12px; }
figure img { display: block; width: 100%; height: auto; background: #fff;
  border-radius: 6px; }
figcaption { font-size: 0.88rem; margin-top: 8px; max-width: 80ch; }
.players { display: flex; flex-wrap: wrap; gap: 14px; margin: 14px 0;
  align-items: flex-start; }
.players figure { margin: 0; flex: 1 1 250px; max-width: 328px; }
.players video { display: block; width: 100%; max-height: 340px; background: #000;
  border-radius: 6px; }
.players audio { display: block; width: 100%; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: 0.92rem; }
th, td { padding: 7px 10px; text-align: right; }
td { white-space: nowrap; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom;
  line-height: 1.25; }
th:first-child, td:first-child { text-align: left; }
thead tr:last-child th { border-bottom: 2px solid var(--line); }
thead tr:first-child th { padding-bottom: 0; color: var(--ink); }
thead tr:first-child th[colspan] { text-align: center; }
.first { border-left: 1px solid var(--line); }
tbody tr + tr td { border-top: 1px solid var(--line); }
tbody tr:last-child td { font-weight: 600; }
.best { color: var(--best); font-weight: 600; }
.spread { color: var(--soft); font-size: 0.82em; font-weight: 400; }
.plain tbody tr:last-child td { font-weight: 400; }
.plain th, .plain td { padding: 5px 7px; }
tbody tr.above td { border-top: 2px solid var(--line); }
dt { font-weight: 600; margin-top: 8px; }
dd { margin: 0; color: var(--soft); max-width: 80ch; }
footer { margin-top: 48px; color: var(--soft); font-size: 0.85rem; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
"""


class Report:
    """An HTML page that is built from top to bottom and written in one go.

    Parameters
    ----------
    title : str
        Heading of the page; any text, it is escaped like all text given here.
    lead : str, default=''
        One or two sentences under the heading.

    Examples
    --------
    >>> from sklearn_drm.lipspeech.report import Report
    >>> report = Report("Lips <to> speech", "One clip.")
    >>> report.section("Result")
    >>> "Lips &lt;to&gt; speech" in report.to_html()
    True
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self._title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{html.escape(lead)}</p>')

    def section(self, heading: str, text: str = "") -> None:
        """Begin a section.

        Parameters
        ----------
        heading : str
            Its heading.
        text : str, default=""
            A first paragraph.
        """
        self._parts.append(f"<h2>{html.escape(heading)}</h2>")
        if text:
            self.text(text)

    def heading(self, heading: str) -> None:
        """Add a heading inside a section.

        Parameters
        ----------
        heading : str
            Any text; it is escaped.
        """
        self._parts.append(f"<h3>{html.escape(heading)}</h3>")

    def text(self, text: str) -> None:
        """Add a paragraph.

        Parameters
        ----------
        text : str
            Any text; it is escaped.
        """
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def picture(self, png: bytes, caption: str) -> None:
        """Add a picture with a caption, which is its description as well.

        Parameters
        ----------
        png : bytes
            The picture.
        caption : str
            Any text; it is escaped.
        """
        words = html.escape(caption)
        self._parts.append(
            f'<figure><img alt="{words}" src="{data_uri("image/png", png)}">'
            f"<figcaption>{words}</figcaption></figure>"
        )

    def players(self, players: Sequence[str]) -> None:
        """Add players from `audio_player` and `video_player` side by side.

        Parameters
        ----------
        players : sequence of str
            HTML of each.
        """
        self._parts.append(f'<div class="players">{"".join(players)}</div>')

    def markup(self, fragment: str) -> None:
        """Add HTML that is already escaped, such as a table.

        Parameters
        ----------
        fragment : str
            Markup; it goes into the page as it is.
        """
        self._parts.append(fragment)

    def table(self, evaluation: Evaluation) -> None:
        """Add the scores of an evaluation.

        Parameters
        ----------
        evaluation : Evaluation
            What `evaluate` returned.
        """
        self._parts.append(score_table(evaluation))

    def to_html(self) -> str:
        """The whole page.

        Returns
        -------
        str
            HTML that needs no other file.
        """
        body = "\n".join(self._parts)
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self._title)}</title>\n<style>{_STYLE}</style>\n"
            f"</head>\n<body>\n<main>\n{body}\n"
            "<footer>Made by sklearn-drm. Everything on this page is inside this "
            "file.</footer>\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The file; one that is there is replaced.
        """
        text = self.to_html().encode("utf-8", errors="replace")
        with atomic_path(path) as temporary:
            Path(temporary).write_bytes(text)


def data_uri(kind: str, content: bytes) -> str:
    """Content as an address that needs no second file.

    Parameters
    ----------
    kind : str
        Media type.
    content : bytes

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn_drm.lipspeech.report import data_uri
    >>> data_uri("text/plain", b"lips")
    'data:text/plain;base64,bGlwcw=='
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def audio_player(waveform: NDArray[Any], sample_rate: int, caption: str) -> str:
    """A sound player.

    Parameters
    ----------
    waveform : ndarray of shape (n_samples,), range [-1, 1]
    sample_rate : int
        In Hz.
    caption : str

    Returns
    -------
    str
        HTML.
    """
    pcm = np.round(np.clip(waveform, -1, 1) * 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())
    source = data_uri("audio/wav", buffer.getvalue())
    return (
        f'<figure><audio controls preload="metadata" src="{source}"></audio>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def video_player(
    frames: NDArray[np.uint8],
    frame_rate: float,
    waveform: NDArray[Any] | None,
    sample_rate: int | None,
    caption: str,
    *,
    size: tuple[int, int] | None = (220, 220),
) -> str:
    """A video player with sound.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, height, width), dtype uint8
    frame_rate : float
    waveform : ndarray of shape (n_samples,) or None
    sample_rate : int or None
    caption : str
    size : (width, height), default=(220, 220)
        Size to scale to, even numbers.

    Returns
    -------
    str
        HTML.
    """
    with tempfile.TemporaryDirectory(prefix="sklearn-drm-") as folder:
        file = Path(folder) / "clip.mp4"
        if waveform is not None and sample_rate is not None:
            waveform = within_full_scale(waveform, sample_rate)
        write_clip(file, frames, frame_rate, waveform, sample_rate, size=size)
        source = data_uri("video/mp4", file.read_bytes())
    return (
        f'<figure><video controls loop playsinline preload="auto" src="{source}">'
        f"</video><figcaption>{html.escape(caption)}</figcaption></figure>"
    )


@dataclass(frozen=True)
class _Column:
    head: str
    field: str
    digits: int
    higher: bool | None


_COLUMNS = (
    ("speech from lips", (
        _Column("R² raw", "r2_speech", 3, True),
        _Column("R² within clip", "r2_speech_within", 3, True),
        _Column("MCD (dB)", "mcd", 2, False),
        _Column("variance ratio", "speech_variance_ratio", 2, None),
    )),
    ("lips from speech", (
        _Column("R² raw", "r2_lips", 3, True),
        _Column("R² within clip", "r2_lips_within", 3, True),
        _Column("R² pixels raw", "r2_pixels", 3, True),
        _Column("R² pixels within clip", "r2_pixels_within", 3, True),
    )),
)  # fmt: skip


def score_table(evaluation: Evaluation) -> str:
    """The scores of an evaluation as an HTML table.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    str
        HTML; the best figure of each column is marked.
    """
    columns = [column for _, group in _COLUMNS for column in group]
    groups = "".join(
        f'<th class="first" colspan="{len(group)}">{name}</th>'
        for name, group in _COLUMNS
    )
    heads = "".join(f"<th{_first(column)}>{column.head}</th>" for column in columns)
    lines = []
    for score in evaluation.scores:
        cells = [f"<td>{html.escape(score.system)}</td>"]
        for column in columns:
            value = getattr(score, column.field)
            if value is None:
                cells.append(f"<td{_first(column)}>–</td>")
                continue
            text = f"{value:.{column.digits}f}"
            if column.higher is not None:
                others = [getattr(s, column.field) for s in evaluation.scores]
                if value == (max(others) if column.higher else min(others)):
                    text = f'<span class="best">{text}</span>'
            cells.append(f"<td{_first(column)}>{text}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    removed = "removed from" if evaluation.clip_mean_removed else "kept in"
    return (
        '<div class="scroll"><table><thead>'
        f"<tr><th></th>{groups}</tr><tr><th>system</th>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        f'<p class="note">{counted(evaluation.n_clips)}, {evaluation.n_frames} frames; '
        f"±{evaluation.context} frames of context, each clip's offset {removed} the "
        "lip features, for every system alike. R² is 1 for a perfect prediction and 0 "
        "for the training mean; within clip: with the clip's own mean removed from "
        "target and prediction. MCD: mel-cepstral distortion, lower is better. Both "
        "are over all frames, pauses included, with one mean envelope per video frame, "
        "so they are not comparable with figures over speech frames every 5 ms. "
        "Variance ratio: 1 moves as much as real speech.</p>"
    )


def _first(column: _Column) -> str:
    """Mark of the columns that begin a direction."""
    begins = any(column is group[0] for _, group in _COLUMNS)
    return ' class="first"' if begins else ""

"""Word alignments of clips: where in a recording somebody speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "AlignmentError",
    "Word",
    "find_alignments",
    "read_alignment",
    "spoken_part",
    "words_from",
]

UNITS_PER_SECOND = 25_000
"""One video frame, a 25th of a second, counts 1000 units."""

_SILENCE = frozenset({"sil", "sp"})


class AlignmentError(ValueError):
    """An alignment cannot be used; the message is one line that says why."""


@dataclass(frozen=True)
class Word:
    """One word of an alignment.

    Attributes
    ----------
    text : str
    start, end : float, range [0, inf)
        Seconds from the clip's beginning.
    """

    text: str
    start: float
    end: float

    @property
    def is_silence(self) -> bool:
        """Whether this is a pause ('sil' or 'sp') and no word."""
        return self.text.lower() in _SILENCE


def read_alignment(path: Path) -> tuple[Word, ...]:
    """Read the words of one clip.

    Parameters
    ----------
    path : pathlib.Path
        Text with one line ``start end word`` for each word, in order of time. Times
        are whole numbers, 1000 for each video frame at 25 frames per second.

    Returns
    -------
    tuple of Word

    Raises
    ------
    AlignmentError
        If the file cannot be read, or a line is not of that form, ends before it
        begins, or begins before the one above it ends.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn_drm.lipspeech.alignments import read_alignment
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "clip.align"
    >>> _ = path.write_text("0 25000 sil\\n25000 50000 blue\\n")
    >>> read_alignment(path)[1]
    Word(text='blue', start=1.0, end=2.0)
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AlignmentError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise AlignmentError(f"{path}: not a text file in UTF-8") from error
    words: list[Word] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
            raise AlignmentError(
                f"{path}: line {number} is {line.strip()[:40]!r}; it must be 'start "
                "end word', such as '23750 29500 blue', 1000 for each video frame"
            )
        start, end = (int(part) / UNITS_PER_SECOND for part in parts[:2])
        if end < start:
            raise AlignmentError(
                f"{path}: line {number}: {parts[2]!r} ends before it begins"
            )
        if words and start < words[-1].end:
            raise AlignmentError(
                f"{path}: line {number}: {parts[2]!r} begins before the word above it "
                "ends"
            )
        words.append(Word(parts[2], start, end))
    return tuple(words)


def spoken_part(words: Sequence[Word]) -> tuple[float, float] | None:
    """From the beginning of the first word to the end of the last one.

    Parameters
    ----------
    words : sequence of Word
        Pauses at both ends are cut off; those between words stay.

    Returns
    -------
    (start, end) or None
        In seconds; None where there is no word.

    Examples
    --------
    >>> from sklearn_drm.lipspeech.alignments import Word, spoken_part
    >>> spoken_part([Word("sil", 0, 1), Word("blue", 1, 1.4), Word("sil", 1.4, 3)])
    (1, 1.4)
    """
    spoken = [word for word in words if not word.is_silence and word.end > word.start]
    return (spoken[0].start, spoken[-1].end) if spoken else None


def words_from(words: Sequence[Word], start: float) -> tuple[Word, ...]:
    """The words of an alignment from a time on, timed from there.

    Parameters
    ----------
    words : sequence of Word
    start : float, range [0, inf)
        In seconds.

    Returns
    -------
    tuple of Word
        Without words that are over at that time; one that is going on begins at 0.

    Examples
    --------
    >>> from sklearn_drm.lipspeech.alignments import Word, words_from
    >>> words_from([Word("bin", 0.25, 0.5), Word("blue", 0.5, 1.0)], 0.75)
    (Word(text='blue', start=0.0, end=0.25),)
    """
    return tuple(
        Word(word.text, max(0.0, word.start - start), word.end - start)
        for word in words
        if word.end > start
    )


def find_alignments(clips: Sequence[Path], folder: Path | None) -> list[Path | None]:
    """The alignment file of each clip.

    Parameters
    ----------
    clips : sequence of pathlib.Path
    folder : pathlib.Path or None
        Where they lie; None: in the folder ``align`` beside a clip's own folder.
        They have the clip's name with the ending ``.align``.

    Returns
    -------
    list of pathlib.Path or None
        None for a clip that has no such file.

    Raises
    ------
    AlignmentError
        If `folder` is given and is no folder, or has none for any of the clips.
    """
    if folder is not None and not folder.is_dir():
        raise AlignmentError(f"{folder}: there is no such folder of alignments")
    found: list[Path | None] = []
    for clip in clips:
        base = clip.absolute().parent.parent / "align" if folder is None else folder
        path = base / f"{clip.stem}.align"
        found.append(path if path.is_file() else None)
    if folder is not None and not any(found):
        raise AlignmentError(
            f"{folder}: has no alignment for any of the {len(clips)} test clips; they "
            f"must be called like the clips, such as {clips[0].stem}.align"
        )
    return found

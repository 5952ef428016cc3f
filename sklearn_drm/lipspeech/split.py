"""Which clips are for training and which for testing."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from pathlib import Path

__all__ = ["SplitError", "read_split", "select"]


class SplitError(ValueError):
    """A split file cannot be used; the message is one line that says why."""


def read_split(path: Path) -> dict[str, str]:
    """Read a table of clips and their subsets.

    Parameters
    ----------
    path : pathlib.Path
        CSV with the columns ``clip`` (file name, with or without its ending) and
        ``subset`` (``train``, ``test`` or another word).

    Returns
    -------
    dict
        Subset of each clip.

    Raises
    ------
    SplitError
        If the file is missing, has no such columns, or contradicts itself.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SplitError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SplitError(f"{path}: not a text file in UTF-8") from error
    try:
        return _subsets(csv.DictReader(text.splitlines()), path)
    except csv.Error as error:
        raise SplitError(f"{path}: not a table of clip,subset ({error})") from error


def _subsets(reader: csv.DictReader[str], path: Path) -> dict[str, str]:
    columns = [name.strip() for name in reader.fieldnames or [] if name]
    if not {"clip", "subset"} <= set(columns):
        raise SplitError(
            f"{path}: needs the columns clip and subset in its first line, has "
            f"{', '.join(columns)[:80] or 'none'}"
        )
    reader.fieldnames = [(name or "").strip() for name in reader.fieldnames or []]
    subsets: dict[str, str] = {}
    for row in reader:
        clip = _normal((row["clip"] or "").strip())
        subset = (row["subset"] or "").strip().lower()
        if not clip or not subset:
            raise SplitError(
                f"{path}: line {reader.line_num} lacks a clip or a subset; write "
                "clip,subset such as bbaf2n,train"
            )
        if subsets.setdefault(clip, subset) != subset:
            raise SplitError(
                f"{path}: line {reader.line_num}: clip {clip} is in two subsets, "
                f"{subsets[clip]} and {subset}"
            )
    return subsets


def select(
    paths: Sequence[Path], subsets: dict[str, str], subset: str, split: Path
) -> list[Path]:
    """The files of one subset, in the order given.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Clips; rows of the split without one of them are ignored.
    subsets : dict
        From `read_split`.
    subset : str
    split : pathlib.Path
        The split's file, for messages.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    SplitError
        If a clip has no row, or none is in the subset.
    """
    found = {}
    for path in paths:
        stem, name = _normal(path.stem), _normal(path.name)
        found[path] = subsets.get(stem, subsets.get(name))
    missing = [path for path, where in found.items() if where is None]
    if missing:
        names = ", ".join(path.stem for path in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise SplitError(
            f"{split}: no row for {names}{more}; add rows clip,subset or leave the "
            "clips out"
        )
    chosen = [path for path in paths if found[path] == subset]
    if not chosen:
        raise SplitError(
            f"{split}: none of the {len(paths)} clips given is in subset {subset}; "
            "give the clips of that subset as well"
        )
    return chosen


def _normal(name: str) -> str:
    # macOS writes accents apart from their letters, tables mostly do not.
    return unicodedata.normalize("NFC", name)

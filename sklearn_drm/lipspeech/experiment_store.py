"""Results of single systems, kept so that an experiment can go on where it stopped."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import joblib
import numpy as np
from numpy.typing import NDArray

import drm_transformers
import sklearn_drm
from drm_transformers.clips import atomic_path

__all__ = ["ResultStore", "source_digest"]

# Raise when the meaning of a kept number changes.
_FORMAT = 1


def source_digest(*parts: str) -> str:
    """Digest of the program's own source files, so that a change of them counts.

    Parameters
    ----------
    parts : str
        Files and folders inside the package ``sklearn_drm``; those of
        ``drm_transformers`` always count.

    Returns
    -------
    str
        Hexadecimal.
    """
    own = Path(sklearn_drm.__file__).parent
    chosen = [Path(drm_transformers.__file__).parent, *(own / part for part in parts)]
    files = {f for p in chosen for f in ([p] if p.is_file() else p.rglob("*.py"))}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


class ResultStore:
    """A folder with one file of arrays and one of figures for each system.

    Files are written whole or not at all and say what they were made from; one that
    was made from something else, or is damaged, counts as absent and is replaced.

    Parameters
    ----------
    folder : pathlib.Path
        Must exist.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> store = ResultStore(pathlib.Path(tempfile.mkdtemp()))
    >>> store.save_arrays("ridge", store.key("seed 0"), {"lips": np.ones(2)})
    >>> store.load_arrays("ridge", store.key("seed 0"))["lips"]
    array([1., 1.])
    >>> store.load_arrays("ridge", store.key("seed 1")) is None
    True
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def key(*made_from: Any) -> str:
        """Digest of everything that a result depends on."""
        return str(joblib.hash([_FORMAT, *made_from], hash_name="sha1"))

    def save_arrays(self, name: str, key: str, arrays: dict[str, NDArray[Any]]) -> None:
        """Keep the arrays of one system."""
        content: dict[str, Any] = {"key": np.array(key), **arrays}
        with (
            atomic_path(self._path(name, ".npz")) as temporary,
            open(temporary, "wb") as file,
        ):
            np.savez(file, **content)

    def load_arrays(self, name: str, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays kept for a system, None if there are none made from `key`."""
        try:
            with np.load(self._path(name, ".npz"), allow_pickle=False) as data:
                if str(data["key"]) != key:
                    return None
                return {k: data[k] for k in data.files if k != "key"}
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError):
            return None
        except (BadZipFile, ZlibError):
            return None

    def save_figures(self, name: str, key: str, figures: dict[str, Any]) -> None:
        """Keep the figures of one system."""
        text = json.dumps({"key": key, "figures": figures}, ensure_ascii=False)
        with atomic_path(self._path(name, ".json")) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def load_figures(self, name: str, key: str) -> dict[str, Any] | None:
        """The figures kept for a system, None if there are none made from `key`."""
        try:
            text = self._path(name, ".json").read_text(encoding="utf-8")
            kept = json.loads(text)
            if kept["key"] != key or not isinstance(kept["figures"], dict):
                return None
            return dict(kept["figures"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _path(self, name: str, ending: str) -> Path:
        # Names that differ only in signs must not share a file.
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        mark = hashlib.sha256(name.encode()).hexdigest()[:6]
        return self._folder / f"{plain}-{mark}{ending}"

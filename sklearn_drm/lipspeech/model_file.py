"""Model files: written whole, and refused in one clear line."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any, TypeVar

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from drm_transformers.clips import atomic_path
from sklearn_drm.versioned import VersionWarning

__all__ = ["ModelFileError", "load_model", "save_model"]

Model = TypeVar("Model")

# A pickle ends where it says so, and what follows does no harm: joblib.load reads
# these files too. The digest tells a whole file before anything in it is run.
_MARK = b"\nsklearn-drm model, sha256 "
_TAIL = len(_MARK) + 32


class ModelFileError(ValueError):
    """A model file cannot be used; the message is one line that says why."""


def save_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model with joblib, whole or not at all.

    Parameters
    ----------
    model : object
        Anything that can be pickled.
    path : path-like
    """
    with atomic_path(path) as temporary:
        joblib.dump(model, temporary)
        with open(temporary, "r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.write(_MARK + digest)


def load_model(path: str | os.PathLike[str], kind: type[Model]) -> Model:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : path-like
        Only a file that you trust: reading it can run code.
    kind : type
        What the file must hold.

    Returns
    -------
    kind

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another version or not a model.

    Warns
    -----
    UserWarning
        If it was written with another version of sklearn-drm or scikit-learn.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelFileError(
            f"{path}: no such model file; make one with 'sklearn-drm fit'"
        )
    _check_whole(file)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model: Any = joblib.load(file)
    except MemoryError:
        raise
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except (AttributeError, ImportError) as error:
        raise ModelFileError(
            f"{path}: written by another version of sklearn-drm or its libraries "
            f"({_short(error)}); fit the model again with this one"
        ) from error
    except Exception as error:
        raise ModelFileError(
            f"{path}: cannot be read by this version of sklearn-drm ({_short(error)}); "
            "fit the model again"
        ) from error
    if not isinstance(model, kind):
        raise ModelFileError(
            f"{path}: holds a {type(model).__name__}, not a {kind.__name__}; make a "
            "model with 'sklearn-drm fit'"
        )
    for warning in caught:
        if issubclass(warning.category, (InconsistentVersionWarning, VersionWarning)):
            warnings.warn(
                f"{path}: {_short(warning.message)}", UserWarning, stacklevel=2
            )
            break
    return model


def _check_whole(file: Path) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{file}: cannot be read ({error.strerror})") from error
    body, tail = content[:-_TAIL], content[-_TAIL:]
    if tail != _MARK + hashlib.sha256(body).digest():
        raise ModelFileError(
            f"{file}: truncated, damaged or not a model that 'sklearn-drm fit' wrote; "
            "give one that it wrote (the first argument of a command), or fit again"
        )


def _short(error: BaseException | Warning | str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 240 else text[:237] + "..."

"""Features of many files: in parallel, kept in a cache, bad files set apart."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as ZlibError

import cv2
import numpy as np
from joblib import cpu_count, delayed
from tqdm import tqdm

from drm_transformers.clips import ClipError, atomic_path, read_clip
from sklearn_drm.lipspeech.features import (
    ClipFeatures,
    FeatureSettings,
    clip_features,
)
from sklearn_drm.lipspeech.parallel import results_of

__all__ = ["Loaded", "cached_features", "default_cache", "load_features", "named"]

# Raise when the meaning of a cached number changes.
_FORMAT = 2


@dataclass(frozen=True)
class Loaded:
    """What `load_features` got out of a list of files.

    Attributes
    ----------
    features : list of ClipFeatures
        The usable clips, in the order given.
    paths : list of pathlib.Path
        Their files.
    failures : list of (pathlib.Path, str)
        The others, each with the reason in one line.
    """

    features: list[ClipFeatures]
    paths: list[Path]
    failures: list[tuple[Path, str]]


def default_cache() -> Path:
    """Folder for cached features: ``SKLEARN_DRM_CACHE`` or the system's own.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> from sklearn_drm.lipspeech.feature_cache import default_cache
    >>> default_cache().is_absolute()
    True
    """
    chosen = os.environ.get("SKLEARN_DRM_CACHE")
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (base / "sklearn-drm").absolute()


def load_features(
    paths: Sequence[str | os.PathLike[str]],
    settings: FeatureSettings | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    warn: Callable[[str], None] | None = None,
    strict: bool = False,
) -> Loaded:
    """Read clips and compute their features, in parallel and only once.

    Parameters
    ----------
    paths : sequence of path-like
        Video files with sound.
    settings : FeatureSettings, optional
    cache : path-like, optional
        Folder where features are kept; None: nothing is kept.
    n_jobs : int, optional
        Processes at a time; None: one for each processor core.
    warn : callable, optional
        Called with one line for each clip that is skipped or had to be mended.
    strict : bool, default=False
        Stop at the first unusable clip that is found.

    Returns
    -------
    Loaded
        The usable clips, and the others with their reasons.

    Raises
    ------
    ClipError
        With `strict`, if a clip is unusable; one line that names it.

    Notes
    -----
    A cache entry is found by the content of the clip, not its name or date, and
    by the settings. Entries are written whole; one that is damaged, or whose mouth
    was cut out elsewhere, is made anew.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from drm_transformers import write_clip
    >>> from sklearn_drm.lipspeech import (FeatureSettings, load_features,
    ...                                    make_lip_speech)
    >>> (clip,) = make_lip_speech(1, 0.4, random_state=0)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "one.mp4"
    >>> write_clip(path, clip.frames, 25, clip.waveform, clip.sample_rate)
    >>> settings = FeatureSettings(box=(0, 0, 110))
    >>> [f.name for f in load_features([path], settings, n_jobs=1).features]
    ['one']
    """
    settings = settings or FeatureSettings()
    files = [Path(path) for path in paths]
    folder = None if cache is None else Path(cache)
    jobs = max(1, min(len(files), cpu_count() if n_jobs is None else n_jobs))
    results: list[ClipFeatures | str] = [""] * len(files)
    calls = (
        delayed(_numbered)(index, file, settings, folder)
        for index, file in enumerate(files)
    )
    with (
        closing(results_of(calls, jobs, ordered=False)) as work,
        tqdm(
            work, total=len(files), desc="reading clips", unit="clip", disable=None
        ) as shown,
    ):
        for index, result in shown:
            if strict and isinstance(result, str):
                raise ClipError(named(files[index], result))
            results[index] = result
    loaded = Loaded([], [], [])
    for file, result in zip(files, results, strict=True):
        if isinstance(result, str):
            loaded.failures.append((file, result))
            if warn is not None:
                warn(f"skipped {named(file, result)}")
            continue
        loaded.features.append(result)
        loaded.paths.append(file)
        if warn is not None:
            for note in result.notes:
                warn(f"{file}: {note}")
    return loaded


def named(path: Path, message: str) -> str:
    """Put the file's name before a message that does not have it yet."""
    line = " ".join(message.split())
    return line if str(path) in line else f"{path}: {line}"


def _numbered(
    index: int, path: Path, settings: FeatureSettings, cache: Path | None
) -> tuple[int, ClipFeatures | str]:
    """The features or, since an exception would end all others, the reason."""
    try:
        return index, cached_features(path, settings, cache)
    except ClipError as error:
        return index, str(error)
    except (OSError, ValueError, MemoryError) as error:
        return index, f"{type(error).__name__}: {error}"


def cached_features(
    path: Path, settings: FeatureSettings, cache: Path | None
) -> ClipFeatures:
    """Features of one file, from the cache where they are there."""
    # What is no file, a pipe or a device, may have no end: refused unread.
    if cache is None or not path.is_file():
        return _compute(path, settings)
    entry = cache / f"{_key(path, settings)}.npz"
    kept = _read_entry(entry, path.stem, settings)
    if kept is not None:
        return kept
    features = _compute(path, settings)
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_path(entry) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            lips=features.lips,
            envelope=features.envelope,
            excitation=features.excitation,
            notes=np.array(json.dumps(features.notes)),
            picture_size=np.array(features.picture_size, dtype=np.int64),
            box=np.array(_box_in(features, settings), dtype=np.float64),
        )
    return features


def _compute(path: Path, settings: FeatureSettings) -> ClipFeatures:
    # One process per clip is busy already; more threads would only queue.
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        clip = read_clip(path, frame_rate=settings.frame_rate, sound="required")
        return clip_features(clip, settings)
    finally:
        cv2.setNumThreads(n_threads)


def _box_in(features: ClipFeatures, settings: FeatureSettings) -> tuple[float, ...]:
    """The box that the mouth is cut out by; none where it is found from the face."""
    assert features.picture_size is not None
    return settings.box_in(*features.picture_size) or ()


def _key(path: Path, settings: FeatureSettings) -> str:
    # For most clips the size that the box is meant for changes nothing: the entry says
    # which box it was made with.
    settings = replace(settings, picture_size=None)
    digest = hashlib.sha256(f"{_FORMAT} {settings}\n".encode())
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ClipError(
            f"{path}: cannot be read ({error.strerror}); check the name"
        ) from error
    return digest.hexdigest()


def _read_entry(
    entry: Path, name: str, settings: FeatureSettings
) -> ClipFeatures | None:
    try:
        with np.load(entry, allow_pickle=False) as data:
            width, height = data["picture_size"].reshape(2).tolist()
            box = tuple(data["box"].ravel().tolist())
            features = ClipFeatures(
                name=name,
                lips=data["lips"],
                envelope=data["envelope"],
                excitation=data["excitation"],
                notes=tuple(json.loads(str(data["notes"]))),
                picture_size=(int(width), int(height)),
            )
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError):
        return None
    except (BadZipFile, ZlibError):
        return None
    n_frames = len(features.lips)
    sound = (
        features.lips.shape == (n_frames, settings.size, settings.size)
        and features.lips.dtype == np.uint8
        and features.envelope.shape[:1] == (n_frames,)
        and features.excitation.shape[:1] == (n_frames,)
    )
    return features if sound and box == _box_in(features, settings) else None

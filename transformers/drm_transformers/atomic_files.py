"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drm_transformers._errors import ClipError

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name that becomes `path` only if the block succeeds.

    The temporary file lies in the same folder and keeps the extension. On any
    exception, an interruption included, it is removed and what was at `path`
    stays as it was.

    Parameters
    ----------
    path : str or path
        The file to write.

    Yields
    ------
    pathlib.Path
        Where to write.

    Raises
    ------
    ClipError
        The folder is missing or cannot be written, `path` is not a regular
        file, or the disk is full. One line that names the file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with atomic_path(path) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> path.read_text()
    'whole'
    """
    # A link is followed, so that what it points to is replaced and not the link.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(
        f".{target.stem[:80]}-{secrets.token_hex(4)}{target.suffix}"
    )
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise ClipError(
                f"cannot write {path}: it is a folder or a device; give a file name"
            )
        # Created here, with the user's own permissions, so that an unwritable
        # folder shows before the work begins.
        with open(temporary, "xb"):
            pass
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise ClipError(f"cannot write {path}: {_reason(error, target)}") from error
    finally:
        # Gone already if it was moved into place, or never made.
        with suppress(OSError):
            temporary.unlink()


def _reason(error: OSError, target: Path) -> str:
    if error.errno == errno.ENOENT and not target.parent.is_dir():
        return f"there is no folder {target.parent}; create it first"
    text = error.strerror or str(error) or type(error).__name__
    return f"{text}; choose another place or make room".replace("\n", " ")

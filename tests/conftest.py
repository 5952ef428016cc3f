"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The machines that run this suite are shared and noisy: a deadline would fail
# tests for reasons that have nothing to do with the code.
settings.register_profile("sklearn-drm", deadline=None, derandomize=True)
settings.load_profile("sklearn-drm")


@pytest.fixture(scope="session")
def grid() -> Path:
    """Folder of real GRID clips (``clips/*.mpg``, ``split.csv``)."""
    folder = os.environ.get("SKLEARN_DRM_GRID")
    if not folder:
        pytest.skip("SKLEARN_DRM_GRID is not set")
    path = Path(folder)
    if not (path / "clips").is_dir():
        pytest.fail(f"SKLEARN_DRM_GRID={folder} has no folder 'clips'")
    return path

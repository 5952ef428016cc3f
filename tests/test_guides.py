"""The code in the guides runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import sklearn

pytest.importorskip("pysptk")

DOCS = Path(__file__).parents[1] / "docs"
# A search over one value instead of three.
SMALLER = {"[1, 2, 3]": "[1]", "[50, 100, 200]": "[5]", "[20, 40]": "[20]"}


def run(page, names):
    code = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S)
    assert code
    for block in code:
        for long, short in SMALLER.items():
            block = block.replace(long, short)
        exec(compile(block, page, "exec"), names)


@pytest.fixture
def names():
    """What the guides do not make themselves: rows of both views and their clips."""
    rng = np.random.default_rng(0)
    clips = np.repeat(np.arange(6), 20)
    opening = rng.random(len(clips))[:, None]
    lips = opening[:, :, None] + 0.1 * rng.normal(size=(len(clips), 12, 12))
    time = np.arange(2400) / 12_000
    speech = opening * np.sin(2 * np.pi * 200 * time) + 0.01 * rng.normal(size=2400)
    return {
        "lip_images": lips,
        "speech_windows": speech,
        "clip_of_each_row": clips,
        "X": lips,
        "Y": speech,
    }


def test_rows_of_clips_from_the_first_fit_to_the_search(names):
    with sklearn.config_context():  # the last one turns metadata routing on
        for page in (
            "getting_started",
            "user_guide/evaluation",
            "user_guide/grid_search",
        ):
            run(f"{page}.md", names)
    assert names["search"].best_estimator_.predict_x(names["Y"]).shape == (120, 12, 12)


def test_context_windows(names):
    run("user_guide/features.md", names)
    assert names["speech_again"].shape == (600, 3)

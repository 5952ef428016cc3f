"""Lips to speech and speech to lips: the application of the two-way model.

Names are imported on first use, so that importing the package does not need the
libraries for video and sound.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn_drm.lipspeech.converter import LipSpeechConverter, Speech
    from sklearn_drm.lipspeech.evaluation import (
        Evaluation,
        Score,
        evaluate,
        format_table,
    )
    from sklearn_drm.lipspeech.feature_cache import load_features
    from sklearn_drm.lipspeech.features import (
        ClipFeatures,
        FeatureSettings,
        clip_features,
    )
    from sklearn_drm.lipspeech.model_file import ModelFileError
    from sklearn_drm.lipspeech.report import Report
    from sklearn_drm.lipspeech.representation import Representation, Views
    from sklearn_drm.lipspeech.spectrogram_display import SpectrogramDisplay
    from sklearn_drm.lipspeech.synthetic import make_lip_speech

__all__ = [
    "ClipFeatures",
    "Evaluation",
    "FeatureSettings",
    "LipSpeechConverter",
    "ModelFileError",
    "Report",
    "Representation",
    "Score",
    "SpectrogramDisplay",
    "Speech",
    "Views",
    "clip_features",
    "evaluate",
    "format_table",
    "load_features",
    "make_lip_speech",
]

_MODULES = {
    "converter": ("LipSpeechConverter", "Speech"),
    "evaluation": ("Evaluation", "Score", "evaluate", "format_table"),
    "feature_cache": ("load_features",),
    "features": ("ClipFeatures", "FeatureSettings", "clip_features"),
    "model_file": ("ModelFileError",),
    "representation": ("Representation", "Views"),
    "report": ("Report",),
    "spectrogram_display": ("SpectrogramDisplay",),
    "synthetic": ("make_lip_speech",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

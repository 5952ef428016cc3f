"""Row-wise feature transformers and clip input/output for lips and speech.

Names are imported on first use, so ``import drm_transformers`` needs none of the
optional libraries (OpenCV, PyAV, pysptk, pyworld).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drm_transformers.clip_centerer import ClipCenterer
    from drm_transformers.clips import (
        Clip,
        ClipError,
        read_clip,
        read_sound,
        write_clip,
        write_wav,
    )
    from drm_transformers.filter_chain import FilterChain
    from drm_transformers.global_variance import GlobalVarianceFilter
    from drm_transformers.lip_dct import LipDCTTransformer
    from drm_transformers.mel_cepstrum import MelCepstrumTransformer
    from drm_transformers.modulation import (
        ModulationSpectrumFilter,
        modulation_spectrum,
    )
    from drm_transformers.mouth import crop_mouth, locate_mouth
    from drm_transformers.parameter_generation import delta_features, mlpg
    from drm_transformers.rows import Rows, clips_to_rows
    from drm_transformers.trajectory import (
        average_context,
        group_means,
        remove_group_mean,
        stack_context,
    )
    from drm_transformers.vocoder import (
        FrameSpeech,
        WorldFeatures,
        analyze,
        frame_features,
        synthesize,
    )

__all__ = [
    "Clip",
    "ClipCenterer",
    "ClipError",
    "FilterChain",
    "FrameSpeech",
    "GlobalVarianceFilter",
    "LipDCTTransformer",
    "MelCepstrumTransformer",
    "ModulationSpectrumFilter",
    "Rows",
    "WorldFeatures",
    "analyze",
    "average_context",
    "clips_to_rows",
    "crop_mouth",
    "delta_features",
    "frame_features",
    "group_means",
    "locate_mouth",
    "mlpg",
    "modulation_spectrum",
    "read_clip",
    "read_sound",
    "remove_group_mean",
    "stack_context",
    "synthesize",
    "write_clip",
    "write_wav",
]

_MODULES = {
    "clip_centerer": ("ClipCenterer",),
    "clips": (
        "Clip",
        "ClipError",
        "read_clip",
        "read_sound",
        "write_clip",
        "write_wav",
    ),
    "filter_chain": ("FilterChain",),
    "global_variance": ("GlobalVarianceFilter",),
    "lip_dct": ("LipDCTTransformer",),
    "mel_cepstrum": ("MelCepstrumTransformer",),
    "modulation": ("ModulationSpectrumFilter", "modulation_spectrum"),
    "mouth": ("crop_mouth", "locate_mouth"),
    "parameter_generation": ("delta_features", "mlpg"),
    "rows": ("Rows", "clips_to_rows"),
    "trajectory": (
        "average_context",
        "group_means",
        "remove_group_mean",
        "stack_context",
    ),
    "vocoder": (
        "FrameSpeech",
        "WorldFeatures",
        "analyze",
        "frame_features",
        "synthesize",
    ),
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

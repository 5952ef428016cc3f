"""Short synthetic clips, their files and features, and a regressor that fits fast."""

from __future__ import annotations

from functools import lru_cache

from drm_transformers.clips import write_clip
from sklearn_drm import GGDRMRegressor
from sklearn_drm.lipspeech import FeatureSettings, clip_features, make_lip_speech

SIZE = 110
BOX = f"0,0,{SIZE}"
SETTINGS = FeatureSettings(box=(0, 0, SIZE))


def tiny_regressor(context=0):
    """A real model, importable in other processes, that fits in a moment."""
    return GGDRMRegressor(
        n_hidden_units=8, pretrain_epochs=1, fine_tune_epochs=2, random_state=0
    )


@lru_cache
def spoken_clips(n_clips=6, seconds=1.2, seed=3):
    return tuple(make_lip_speech(n_clips, seconds, size=SIZE, random_state=seed))


@lru_cache
def spoken_features(n_clips=6, seconds=1.2, seed=3):
    return tuple(
        clip_features(clip, SETTINGS) for clip in spoken_clips(n_clips, seconds, seed)
    )


def write_clips(folder, clips, *, names=None, sound=True):
    """Write clips as MP4 and return their paths."""
    paths = []
    for index, clip in enumerate(clips):
        path = folder / f"{names[index] if names else clip.name}.mp4"
        waveform = clip.waveform if sound else None
        write_clip(path, clip.frames, clip.frame_rate, waveform, clip.sample_rate)
        paths.append(path)
    return paths

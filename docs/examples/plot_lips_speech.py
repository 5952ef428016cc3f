"""
Lips ↔ speech
=============

A small run of the application: one model converts lip images to speech features and
speech features to lip images. The clips show a synthetic talking mouth that is made by
code; real clips go the same way through :func:`~sklearn_drm.lipspeech.load_features`.
"""

# %%
# Each clip has pictures of a mouth and sound that belong together. Features are the
# lip images, and the spectral envelopes and excitation of the sound around each frame.
import numpy as np
from matplotlib import pyplot as plt

from sklearn_drm.lipspeech import (
    FeatureSettings,
    LipSpeechConverter,
    SpectrogramDisplay,
    clip_features,
    evaluate,
    format_table,
    make_lip_speech,
)

settings = FeatureSettings(box=(0, 0, 110))
clips = make_lip_speech(n_clips=16, seconds=2.0, random_state=0)
features = [clip_features(clip, settings) for clip in clips]
train, test = features[:13], features[13:]

converter = LipSpeechConverter(n_lip_components=20, settings=settings, random_state=0)
converter.fit(train)

# %%
# Scores on clips that were not used to fit, beside the training mean and a ridge
# regression on the same features.
print(format_table(evaluate(converter, test)))

# %%
# Speech from lips, as spectrograms of the mel-cepstra. Voicing and the tongue are not
# seen, so the prediction is smoother than the natural speech.
clip = test[0]
SpectrogramDisplay.from_estimator(converter, clip)

# %%
# Lips from speech. The model moves the mean training face; each column is the loudest
# or the softest frame of a stretch of the clip.
predicted = converter.features_to_lips(clip)
loudness = clip.envelope.sum(axis=1)
stretches = np.array_split(np.arange(len(loudness)), 8)
chosen = [
    part[np.argmax(loudness[part])] if k % 2 else part[np.argmin(loudness[part])]
    for k, part in enumerate(stretches)
]
figure, axes = plt.subplots(2, 8, figsize=(10, 2.9), layout="constrained")
for line, (title, frames) in zip(
    axes, {"original": clip.lips, "from speech": predicted}.items(), strict=True
):
    for axis, frame in zip(line, chosen, strict=True):
        axis.imshow(frames[frame], cmap="gray", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(title, rotation=0, ha="right", va="center")
for k, (axis, frame) in enumerate(zip(axes[0], chosen, strict=True)):
    axis.set_title(f"{'loud' if k % 2 else 'soft'}, {frame / 25:.2f} s", fontsize=8)

# %%
# The opening of the mouth over time: the darkness of the middle of the image, which is
# large when the lips are apart, around its own mean.
figure, axis = plt.subplots(figsize=(8, 2.6), layout="constrained")
seconds = np.arange(len(predicted)) / 25
for title, frames in {"original": clip.lips, "from speech": predicted}.items():
    middle = frames[:, 22:33, 22:33].astype(float).mean(axis=(1, 2))
    axis.plot(seconds, middle.mean() - middle, label=title)
axis.set(xlabel="time (s)", ylabel="darkness")
axis.legend()

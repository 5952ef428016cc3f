"""
Digits in halves, both ways
===========================

One model is fitted on the left and right halves of handwritten digits. It then
completes a digit from either half, and says how sure it is of each pixel.
"""

# %%
# The two views of a row are the left and the right half of one picture, 32 pixels
# each. They need no scaling: the model standardises its views by itself.
import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

from sklearn_drm import GGDRMRegressor
from sklearn_drm.inspection import ReconstructionDisplay, TrainingCurvesDisplay
from sklearn_drm.metrics import pooled_r2

images = load_digits().images
left = images[:, :, :4].reshape(len(images), -1)
right = images[:, :, 4:].reshape(len(images), -1)
train_left, test_left, train_right, test_right = train_test_split(
    left, right, random_state=0
)

model = GGDRMRegressor(random_state=0, verbose=1)
model.fit(train_left, train_right)

# %%
# The lines above say which phase ran, how long, and the R² on the rows that were held
# out to stop by. There every pixel counts the same, those at the edge too that are
# nearly always white, so it is lower than the R² of the pictures further down. The same
# as curves:
TrainingCurvesDisplay.from_estimator(model)

# %%
# Predictions beside the originals: ``x`` is the left half predicted from the right
# one, ``y`` the right half from the left one. Standard deviations are drawn from 0
# (black) to the largest: bright pixels are those that the other half says little
# about. A fine-tuned model has one for each pixel, the same for every row.
ReconstructionDisplay.from_estimator(
    model,
    test_left,
    test_right,
    n_rows=10,
    image_shape=(8, 4),
    y_image_shape=(8, 4),
    show_std=True,
)

# %%
# A half put together with its prediction is a whole digit.

# sphinx_gallery_thumbnail_number = 3
rows = slice(0, 12)
completed = {
    "original": np.dstack(
        [test_left[rows].reshape(-1, 8, 4), test_right[rows].reshape(-1, 8, 4)]
    ),
    "left half given": np.dstack(
        [
            test_left[rows].reshape(-1, 8, 4),
            model.predict_y(test_left[rows]).reshape(-1, 8, 4),
        ]
    ),
    "right half given": np.dstack(
        [
            model.predict_x(test_right[rows]).reshape(-1, 8, 4),
            test_right[rows].reshape(-1, 8, 4),
        ]
    ),
}
figure, axes = plt.subplots(3, 12, figsize=(10, 2.9), layout="constrained")
for line, (title, digits) in zip(axes, completed.items(), strict=True):
    for axis, digit in zip(line, digits, strict=True):
        axis.imshow(digit, cmap="gray_r", vmin=0, vmax=16)
        axis.axvline(3.5, color="tab:red", linewidth=0.8)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(title, rotation=0, ha="right", va="center")

# %%
# How much better than a linear map, in both directions, on the test digits?
# ``pooled_r2`` counts every pixel by its variance.
ridge_y = Ridge().fit(train_left, train_right).predict(test_left)
ridge_x = Ridge().fit(train_right, train_left).predict(test_right)
print("               right from left   left from right")
print(
    f"ridge          {pooled_r2(test_right, ridge_y):15.3f}"
    f"   {pooled_r2(test_left, ridge_x):15.3f}"
)
print(
    f"one DRM        {pooled_r2(test_right, model.predict_y(test_left)):15.3f}"
    f"   {pooled_r2(test_left, model.predict_x(test_right)):15.3f}"
)

# %%
# Are the standard deviations honest? Squared errors in units of the predicted variance
# should average to 1. Pixels that never change have none.
mean, std = model.predict_y(test_left, return_std=True)
alive = train_right.std(axis=0) > 0.1
ratio = np.mean(((test_right - mean)[:, alive] / std[:, alive]) ** 2)
print(f"mean squared error / predicted variance: {ratio:.2f}")

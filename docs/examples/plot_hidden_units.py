"""
What the hidden units learned
=============================

First-layer weights are pictures: of what in a view moves a hidden unit. The units that
the prediction leans on most come first.
"""

# %%
# The model of the halves of digits again.
import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_drm import GGDRMRegressor
from sklearn_drm.inspection import ReceptiveFieldsDisplay

digits = load_digits()
left = digits.images[:, :, :4].reshape(len(digits.images), -1)
right = digits.images[:, :, 4:].reshape(len(digits.images), -1)
train_left, test_left, train_right, test_right, train_digit, test_digit = (
    train_test_split(left, right, digits.target, random_state=0)
)
model = GGDRMRegressor(n_hidden_units=60, random_state=0).fit(train_left, train_right)

# %%
# Fields of the layer next to the left half. The number above is the unit, and the share
# of the variance of the prediction that is lost when the unit is held at its mean. Red
# pixels drive a unit up, blue ones down.
ReceptiveFieldsDisplay.from_estimator(model, test_left, image_shape=(8, 4), n_units=24)

# %%
# The same from the other side: the units next to the right half, on the way to the left
# one.
display = ReceptiveFieldsDisplay.from_estimator(
    model, test_right, view="y", image_shape=(8, 4), n_units=16
)

# %%
# Importance is spread over all units, as dropout makes it: without any one of them the
# prediction hardly changes.
figure, axis = plt.subplots(figsize=(6, 2.8), layout="constrained")
axis.bar(range(len(display.importances)), 100 * display.importances)
axis.set(xlabel="unit, by importance", ylabel="% of variance lost")

# %%
# The hidden means of the joint model are features of a pair, or of one half alone.
# A linear classifier reads the digit from them. In two dimensions:
hidden = model.transform_pair(train_left, train_right)
plane = PCA(2).fit_transform(hidden)
figure, axis = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
points = axis.scatter(*plane.T, c=train_digit, cmap="tab10", s=8)
axis.set(xticks=[], yticks=[], title="hidden means of pairs, first two components")
axis.legend(*points.legend_elements(), title="digit", loc="center left",
            bbox_to_anchor=(1, 0.5))  # fmt: skip

# %%
# Accuracy on test digits, from both halves and from the left one alone. The pixels
# themselves, of which there are fewer, do as well or a little better:
for title, train_rows, test_rows in (
    ("both halves", hidden, model.transform_pair(test_left, test_right)),
    ("left half", model.transform_x(train_left), model.transform_x(test_left)),
    ("pixels of both", np.hstack([train_left, train_right]),
     np.hstack([test_left, test_right])),
    ("pixels of the left", train_left, test_left),
):  # fmt: skip
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    accuracy = classifier.fit(train_rows, train_digit).score(test_rows, test_digit)
    print(f"{title}: {accuracy:.3f}")

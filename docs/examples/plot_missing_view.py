"""
Recovering a missing view
=========================

A classifier was trained on two views. At test time one of them is missing for some
rows; the model fills it in from the other.
"""

# %%
# The views are the halves of digits; the classifier wants whole digits.
import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from sklearn_drm import GGDRMRegressor

digits = load_digits()
left = digits.images[:, :, :4].reshape(len(digits.images), -1)
right = digits.images[:, :, 4:].reshape(len(digits.images), -1)
parts = train_test_split(left, right, digits.target, test_size=0.4, random_state=0)
train_left, test_left, train_right, test_right, train_digit, test_digit = parts

classifier = SVC().fit(np.hstack([train_left, train_right]), train_digit)
model = GGDRMRegressor(random_state=0).fit(train_left, train_right)

# %%
# Either half can be missing, and one model stands in for both. ``mean`` fills in the
# training mean, ``predicted`` the conditional mean. ``draws`` asks the classifier about
# twenty completions and lets them vote.


def vote(whole_digits):
    answers = np.array([classifier.predict(rows) for rows in whole_digits])
    return np.array(
        [np.bincount(column, minlength=10).argmax() for column in answers.T]
    )


def completions(view):
    if view == "right":
        mean = np.broadcast_to(train_right.mean(axis=0), test_right.shape)
        predicted = model.predict_y(test_left)
        draws = model.sample_y(test_left, 20, random_state=0)
        return [[np.hstack([test_left, half]) for half in halves]
                for halves in ([mean], [predicted], draws)]  # fmt: skip
    mean = np.broadcast_to(train_left.mean(axis=0), test_left.shape)
    predicted = model.predict_x(test_right)
    draws = model.sample_x(test_right, 20, random_state=0)
    return [[np.hstack([half, test_right]) for half in halves]
            for halves in ([mean], [predicted], draws)]  # fmt: skip


whole = classifier.score(np.hstack([test_left, test_right]), test_digit)
accuracy = {
    view: [np.mean(vote(rows) == test_digit) for rows in completions(view)]
    for view in ("right", "left")
}
print(f"nothing missing: {whole:.3f}")
for view, values in accuracy.items():
    print(f"{view} half missing: mean {values[0]:.3f}, predicted {values[1]:.3f}, "
          f"draws {values[2]:.3f}")  # fmt: skip

# %%
# A classifier that was trained on the half that is there is slightly better. The model
# is for one that exists already and wants both halves.
for title, rows, test_rows in (
    ("right half missing", train_left, test_left),
    ("left half missing", train_right, test_right),
):
    alone = SVC().fit(rows, train_digit).score(test_rows, test_digit)
    print(f"{title}, a classifier of the other half: {alone:.3f}")

# %%
figure, axis = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for k, title in enumerate(["training mean", "predicted", "vote of 20 draws"]):
    heights = [accuracy["right"][k], accuracy["left"][k]]
    axis.bar(np.arange(2) + 0.27 * (k - 1), heights, width=0.25, label=title)
axis.axhline(whole, color="0.3", linestyle="--", label="nothing missing")
axis.set(
    xticks=range(2),
    xticklabels=["right half missing", "left half missing"],
    ylabel="accuracy",
    ylim=(0, 1.02),
)
figure.legend(loc="outside upper center", ncols=4, frameon=False)

# %%
# The vote decides no better than the mean, but it knows when it is in doubt: digits on
# which the draws agree are classified nearly as well as whole ones.
votes = np.array([classifier.predict(rows) for rows in completions("right")[2]])
winner = vote(completions("right")[2])
agreement = (votes == winner).mean(axis=0)
for title, rows in (
    ("all 20 draws agree", agreement == 1),
    ("some disagree", agreement < 1),
):
    right_answers = (winner == test_digit)[rows]
    print(f"{title}: {rows.sum()} digits, accuracy {right_answers.mean():.3f}")

# %%
# Some left halves fit several digits. Draws of the right half show which:

# sphinx_gallery_thumbnail_number = 2
chosen = [int(np.flatnonzero(test_digit == digit)[0]) for digit in (0, 3, 4, 7)]
draws = model.sample_y(test_left[chosen], 8, random_state=0)
figure, axes = plt.subplots(4, 10, figsize=(9, 3.9), layout="constrained")
for line, row, halves in zip(axes, chosen, draws.transpose(1, 0, 2), strict=True):
    pictures = [test_right[row], model.predict_y(test_left[[row]])[0], *halves]
    for axis, half in zip(line, pictures, strict=True):
        digit = np.hstack([test_left[row].reshape(8, 4), half.reshape(8, 4)])
        axis.imshow(digit, cmap="gray_r", vmin=0, vmax=16)
        axis.axvline(3.5, color="tab:red", linewidth=0.8)
        axis.set(xticks=[], yticks=[])
for axis, title in zip(axes[0], ["original", "mean", *["draw"] * 8], strict=True):
    axis.set_title(title, fontsize=9)

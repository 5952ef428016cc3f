"""
Images generated from labels
============================

A Deep Relational Model of binary pixels and labels draws digits. Beside
its images stand the means of the classes, and draws from a mixture of Bernoulli
products fitted to each class.
"""

# %%
# The scans of scikit-learn, 8×8 pixels, on where they are darker than half.
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp
from sklearn.datasets import load_digits

from sklearn_drm import BBDRMClassifier

X, labels = load_digits(return_X_y=True)
X = (X > 8).astype(np.float32)
classes = np.arange(10)


# %%
# A mixture of products of independent pixels, by expectation–maximisation: what can be
# drawn without hidden layers.
def mixture_draw(rows, n_components, n_draws, rng):
    """Draws from a Bernoulli mixture fitted to some rows."""
    share = np.full(n_components, 1 / n_components)
    mean = 0.25 + 0.5 * rng.random((n_components, rows.shape[1]))
    for _ in range(50):
        log_p = np.log(share) + rows @ np.log(mean).T + (1 - rows) @ np.log1p(-mean).T
        duty = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
        share = (duty.sum(axis=0) + 1) / (len(rows) + n_components)
        mean = (duty.T @ rows + 0.5) / (duty.sum(axis=0)[:, None] + 1)
    chosen = rng.choice(n_components, size=n_draws, p=share)
    return (rng.random((n_draws, rows.shape[1])) < mean[chosen]).astype(float)


rng = np.random.default_rng(0)
means = np.stack([X[labels == label].mean(axis=0) for label in classes])
mixture = np.stack(
    [mixture_draw(X[labels == label], 10, 3, rng) for label in classes], axis=1
)

# %%
# The model: ``predict_x`` gives each label's mean image, ``sample_x`` draws.
model = BBDRMClassifier(binarize=None, random_state=0).fit(X, labels)
prototypes = model.predict_x(classes)
draws = model.sample_x(classes, 3)

# %%
# Three draws each; a real scan of each class on top.
first = np.stack([X[labels == label][0] for label in classes])
rows = {
    "a real scan": first,
    "class means": means,
    "predict_x": prototypes,
    **{f"mixture draw {i + 1}": draw for i, draw in enumerate(mixture)},
    **{f"sample_x draw {i + 1}": draw for i, draw in enumerate(draws)},
}
figure, axes = plt.subplots(len(rows), 10, figsize=(7, 0.66 * len(rows)))
for (name, images), line in zip(rows.items(), axes, strict=True):
    for image, axis in zip(images, line, strict=True):
        axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
figure.subplots_adjust(left=0.17, right=0.99, top=0.99, bottom=0.01, hspace=0.12)
plt.show()

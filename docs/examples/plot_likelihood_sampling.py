"""
Likelihood and sampling
=======================

A Deep Relational Model is a joint density. For small chains it is known exactly: it
can be drawn, summed to one, and sampled.
"""

# %%
# Two views of one column each. For x > 0 there are two answers y to each x, so that the
# conditional mean is a value that never occurs.
import numpy as np
from matplotlib import pyplot as plt

from sklearn_drm import GGDRMRegressor

rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, 1500)
branch = rng.choice([-1.0, 1.0], 1500)
y = branch * np.sqrt(np.maximum(x, 0)) + 0.12 * rng.normal(size=1500)
x = x + 0.05 * rng.normal(size=1500)

# %%
# ``fine_tune=None`` keeps the chain as contrastive divergence leaves it; one hidden
# layer of 12 units has an exact density.
model = GGDRMRegressor(
    1,
    12,
    fine_tune=None,
    pretrain_epochs=300,
    pretrain_learning_rate=0.01,
    n_gibbs_steps=5,
    random_state=0,
)
model.fit(x[:, None], y)
partition = model.log_partition()
print(f"log Z = {partition.estimate:.3f}, standard error {partition.standard_error}")

# %%
# The density over a grid, in the units of the data, and its sum over the plane.
across, up = np.linspace(-3, 3, 150), np.linspace(-2.6, 2.6, 150)
grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
density = np.exp(model.score_samples(grid[:, :1], grid[:, 1])).reshape(150, 150)
cell = (across[1] - across[0]) * (up[1] - up[0])
print(f"sum over the plane: {density.sum() * cell:.4f}")

drawn_x, drawn_y = model.sample(1500, random_state=0)
figure, axes = plt.subplots(
    1, 3, figsize=(10, 3.4), layout="constrained", sharex=True, sharey=True
)
axes[0].plot(x, y, ".", markersize=2)
axes[0].set(title="data", xlabel="x", ylabel="y")
axes[1].pcolormesh(across, up, density, cmap="magma", rasterized=True)
axes[1].set(title="density p(x, y)", xlabel="x", xlim=(-3, 3), ylim=(-2.6, 2.6))
axes[2].plot(drawn_x[:, 0], drawn_y, ".", markersize=2, color="tab:orange")
axes[2].set(title="draws of pairs", xlabel="x")

# %%
# The chain puts a Gaussian of one shape on each configuration of its hidden units, so
# the branches come out as a row of blobs. More units make a smoother curve.
#
# A slice of the density is p(y | x): one answer for x = −1, two for x = 1.5.
figure, axis = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for value in (-1.0, 1.5):
    joint = np.exp(model.score_samples(np.full((150, 1), value), up))
    axis.plot(up, joint / (joint.sum() * (up[1] - up[0])), label=f"x = {value}")
axis.set(xlabel="y", ylabel="p(y | x)")
axis.legend()

# %%
# What is predicted where there are two answers? Mean field has one set of hidden means,
# so without fine-tuning it settles on *one* of the branches. A fine-tuned model gives
# the conditional mean, a value between them that is itself no answer. Its one standard
# deviation is an average over all x: too large on the left, too small on the right.
# Where the answers are several, look at the density.
tuned = GGDRMRegressor(1, 12, random_state=0).fit(x[:, None], y)
at = np.linspace(-1.8, 1.8, 100)[:, None]
mean, std = tuned.predict_y(at, return_std=True)
figure, axis = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
axis.plot(x, y, ".", markersize=2, color="0.7", label="data")
axis.fill_between(at[:, 0], mean - std, mean + std, alpha=0.25)
axis.plot(at, mean, label="fine-tuned: mean ± deviation")
axis.plot(at, model.predict_y(at), color="tab:orange", label="chain: mean field")
axis.set(xlabel="x", ylabel="y given x")
axis.legend(loc="upper left")

# %%
# Log-densities tell pairs that belong together from others: here each y is paired with
# the x of another row.
right = model.score_samples(x[:, None], y)
wrong = model.score_samples(rng.permutation(x)[:, None], y)
print(f"mean log-density: pairs {right.mean():.2f}, shuffled {wrong.mean():.2f}")
figure, axis = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
bins = np.linspace(-8, 1, 60)
axis.hist(np.clip(right, -8, 1), bins, alpha=0.6, label="pairs")
axis.hist(np.clip(wrong, -8, 1), bins, alpha=0.6, label="shuffled")
axis.set(xlabel="log p(x, y), cut at −8", ylabel="rows")
axis.legend()

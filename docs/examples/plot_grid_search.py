"""
Grid search over two views
==========================

The number of layers and units is searched with scikit-learn's ``GridSearchCV`` while
both views go through transformers of their own, and both directions are scored.
"""

# %%
# ``Pipeline`` transforms X only. A :class:`~sklearn_drm.TwoViewRegressor` transforms
# both views; its parts are named like steps: ``regressor__n_hidden_units``,
# ``x_transformer__pca__n_components``.
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from drm_transformers import LipDCTTransformer
from sklearn_drm import GGDRMRegressor, TwoViewRegressor
from sklearn_drm.metrics import x_score, y_score

images = load_digits().images[:1000]
left, right = images[:, :, :4], images[:, :, 4:]

model = TwoViewRegressor(
    GGDRMRegressor(random_state=0),
    x_transformer=make_pipeline(LipDCTTransformer(), PCA(6), StandardScaler()),
    y_transformer=make_pipeline(LipDCTTransformer(), PCA(6), StandardScaler()),
)
model

# %%
# Two scorers look at the two directions; ``refit`` names the one that chooses. Scores
# are R² in the transformed space, averaged over the six components of a view.
search = GridSearchCV(
    model,
    {
        "regressor__n_hidden_layers": [1, 2, 3],
        "regressor__n_hidden_units": [5, 20, 80],
    },
    scoring={"y": y_score, "x": x_score},
    refit="y",
    cv=KFold(3, shuffle=True, random_state=0),
)
search.fit(left, right)
print(search.best_params_)

# %%
# With clips, rows of one clip must not be on both sides of a split: pass
# ``cv=GroupKFold(5)`` and ``fit(..., groups=clip_of_each_row)``.
results = search.cv_results_
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
for axis, view, title in zip(axes, "yx", ("left → right", "right → left"), strict=True):
    table = results[f"mean_test_{view}"].reshape(3, 3)
    picture = axis.imshow(table, cmap="viridis")
    for (line, column), value in [
        ((i, j), table[i, j]) for i in range(3) for j in range(3)
    ]:
        dark = value < table.mean()
        axis.text(
            column,
            line,
            f"{value:.3f}",
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    axis.set(
        title=f"{title}: R²",
        xticks=range(3),
        xticklabels=[5, 20, 80],
        yticks=range(3),
        yticklabels=[1, 2, 3],
        xlabel="units per layer",
    )
axes[0].set_ylabel("hidden layers")

# %%
# The best model, fitted on all rows, as a diagram: both branches, then the regressor.
search.best_estimator_

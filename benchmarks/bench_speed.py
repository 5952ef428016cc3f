"""Speed of training and prediction, as ratios measured in one run.

Both sides of a ratio run in turn in one process, in the same data type, with batches of
100 rows; a figure is the median of the ratios of the repeats. Where nothing is said,
linear algebra has one thread, and times are the thread's processor time, so that other
programs matter less. "All cores": linear algebra as it is by default, and time on the
clock; close other programs.

    python benchmarks/bench_speed.py

Writes ``benchmarks/results/bench_speed.json`` and ``.md``.

Notes
-----
The same work as scikit-learn's ``BernoulliRBM`` is contrastive divergence with one
Gibbs step and plain gradient ascent on a chain of one hidden layer. A chain has two
views; the second is ten binary units, 1 % more work, which counts against the chain.
``BernoulliRBM`` takes its rows in order, the chain shuffles them. Its time over that of
its products bounds the first ratio for any program that needs the same products. With
more threads the products take less of the time, and the rest takes the same, or more
where cores share no cache: what a pass over the weights then costs has its own row.

Matrix products alone means: every product of a batch that the method calls for, with
its shapes and transpositions, into arrays made beforehand. Additional memory is the
peak of what Python and NumPy allocate during ``fit``; the input is not counted, be it
an array or a memory-mapped file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _tables import (
    Runs,
    describe_run,
    markdown_table,
    output_path,
    shown,
    write_results,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import BernoulliRBM, MLPRegressor
from threadpoolctl import threadpool_limits

from sklearn_drm import GGDRMRegressor
from sklearn_drm.core.chain import random_chain
from sklearn_drm.core.units import Array, Bernoulli, Gaussian
from sklearn_drm.learning.contrastive_divergence import ContrastiveDivergence, pretrain
from sklearn_drm.learning.feed_forward import FeedForward
from sklearn_drm.learning.fine_tuning import Schedule, tune_network
from sklearn_drm.learning.optimizer import GradientAscent
from sklearn_drm.learning.parameters import flatten_chain

BATCH = 100
SMALL, LARGE = (40, 100, 100, 32), (784, 256, 10)
MEBIBYTE = 2**20

Work = Callable[[], object]


class Figure(Runs):
    """A measured quantity and what it should be."""

    def __init__(self, name: str, relation: str = "", target: float = 0.0) -> None:
        super().__init__(name)
        self.relation = relation
        self.target = target

    def add(self, value: float) -> None:
        """Add the value of one repeat."""
        self.runs.append({"value": value})

    def row(self) -> list[str]:
        """Cells of the table: name, median and range, target, whether it holds."""
        value = self.median("value")
        if value is None or not self.relation:
            return [self.system, self.cell("value", 2), "", ""]
        holds = value <= self.target if self.relation == "≤" else value >= self.target
        goal = f"{self.relation} {shown(self.target, 2)}"
        return [self.system, self.cell("value", 2), goal, "yes" if holds else "no"]


def seconds(work: Work) -> float:
    """Processor seconds of this thread for some work."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def seconds_on_the_clock(work: Work) -> float:
    """Seconds on the clock for some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(
    figure: Figure,
    above: Work,
    below: Work,
    repeats: int,
    clock: Callable[[Work], float] = seconds,
) -> Figure:
    """Fill a figure with the ratios of the times of two pieces of work."""
    above(), below()
    for _ in range(repeats):
        figure.add(clock(above) / clock(below))
    return figure


def repeated_products(
    layers: Sequence[int],
    counts: Sequence[tuple[int, int, int]],
    n_batches: int,
    dtype: Any,
) -> Work:
    """Matrix products of an epoch, without anything else.

    Parameters
    ----------
    layers : sequence of int
        Units per layer.
    counts : sequence of tuple of three int, one per connection
        How often a batch goes up (A W), goes down (B Wᵀ), and is summed over its rows
        (Aᵀ B).
    n_batches : int
        Batches.
    dtype : dtype
        Type of all arrays.

    Returns
    -------
    callable
        Runs them.
    """
    rng = np.random.default_rng(0)
    values = [rng.random((BATCH, size)).astype(dtype) for size in layers]
    results = [np.empty_like(value) for value in values]
    weights = [
        rng.random(shape).astype(dtype)
        for shape in zip(layers[:-1], layers[1:], strict=True)
    ]
    sums = [np.empty_like(weight) for weight in weights]

    def run() -> None:
        for _ in range(n_batches):
            for index, (up, down, over_rows) in enumerate(counts):
                below, above = values[index], values[index + 1]
                for _ in range(up):
                    np.matmul(below, weights[index], out=results[index + 1])
                for _ in range(down):
                    np.matmul(above, weights[index].T, out=results[index])
                for _ in range(over_rows):
                    np.matmul(below.T, above, out=sums[index])

    return run


def pretraining_counts(
    n_connections: int, n_gibbs_steps: int, n_mean_field_iter: int
) -> list[tuple[int, int, int]]:
    """Products of an update of contrastive divergence.

    The views' input to the hidden layers once; between hidden layers both ways in each
    sweep of mean field, except what all rows have in common in the first; each
    connection both ways in each Gibbs step, and two statistics.
    """
    inner = [(n_mean_field_iter, n_mean_field_iter - 1)] * (n_connections - 2)
    positive = [(1, 0), *inner, (0, 1)]
    return [(up + n_gibbs_steps, down + n_gibbs_steps, 2) for up, down in positive]


def tuning_counts(n_connections: int) -> list[tuple[int, int, int]]:
    """Products of an update of one direction: forward, back, gradients."""
    return [(1, int(index > 0), 1) for index in range(n_connections)]


def chain_epoch(
    layers: Sequence[int],
    n_rows: int,
    kind: type[Gaussian] | type[Bernoulli],
    dtype: Any,
    **settings: Any,
) -> tuple[Work, Array]:
    """One epoch of contrastive divergence, and the first view it runs on."""
    rng = np.random.default_rng(0)
    ends = layers[0], layers[-1]
    units: list[Any]
    if kind is Gaussian:
        units = [Gaussian(np.zeros(n, dtype), np.zeros(n, dtype)) for n in ends]
        x, y = (rng.standard_normal((n_rows, n), dtype=dtype) for n in ends)
    else:
        units = [Bernoulli(np.zeros(n, dtype)) for n in ends]
        x, y = ((rng.random((n_rows, n)) < 0.3).astype(dtype) for n in ends)
    chain = random_chain(units, layers[1:-1], rng, scale=0.3)
    trainer = ContrastiveDivergence(flatten_chain(chain), **settings)
    weight = np.ones(n_rows, dtype)

    def run() -> None:
        pretrain(
            trainer,
            x,
            y,
            weight,
            n_epochs=1,
            batch_size=BATCH,
            learning_rate=1e-3,
            rng=rng,
        )

    return run, x


def tuning_epoch(
    layers: Sequence[int], n_rows: int, dtype: Any, **dropout: Any
) -> Work:
    """One epoch of fine-tuning of one direction."""
    rng = np.random.default_rng(0)
    n_parameters = sum(
        (a + 1) * b for a, b in zip(layers[:-1], layers[1:], strict=True)
    )
    vector = (0.1 * rng.standard_normal(n_parameters)).astype(dtype)
    network = FeedForward.bind(vector, layers)
    x, y = (
        rng.standard_normal((n_rows, n), dtype=dtype)
        for n in layers[:: len(layers) - 1]
    )
    schedule = Schedule(
        1, BATCH, 1e-3, decay=GGDRMRegressor().averaging if dropout else 0.0
    )
    return lambda: tune_network(network, x, y, None, schedule, rng, **dropout)


def against_bernoulli_rbm(
    n_rows: int,
    repeats: int,
    threads: str = "",
    clock: Callable[[Work], float] = seconds,
) -> list[Figure]:
    """Time of BernoulliRBM over ours on the same epoch."""
    figures = []
    for dtype in (np.float32, np.float64):
        same = {
            "n_gibbs_steps": 1,
            "n_mean_field_iter": 1,
            "optimizer": GradientAscent(),
        }
        ours, x = chain_epoch(LARGE, n_rows, Bernoulli, dtype, **same)
        rbm = BernoulliRBM(LARGE[1], batch_size=BATCH, n_iter=1, random_state=0)
        size = f"epoch of {n_rows} × 784–256, {dtype.__name__}{threads}"
        figure = Figure(f"BernoulliRBM / chain, {size}", "≥", 1.7)
        figures.append(ratio(figure, partial(rbm.fit, x), ours, repeats, clock))
        counts = [(2, 1, 2)]
        alone = repeated_products(LARGE[:2], counts, n_rows // BATCH, dtype)
        figure = Figure(f"BernoulliRBM / its products, {size}")
        figures.append(ratio(figure, partial(rbm.fit, x), alone, repeats, clock))
    return figures


def pass_after_products(n_batches: int, repeats: int) -> Figure:
    """Time of a pass over weights that all cores have just used, over one core's."""
    rng = np.random.default_rng(0)
    below, above = (rng.random((BATCH, n), dtype=np.float32) for n in LARGE[:2])
    weights, sums = (np.zeros(LARGE[:2], np.float32) for _ in range(2))

    def spent(n_threads: int | None) -> float:
        total = 0.0
        with threadpool_limits(n_threads, user_api="blas"):
            for _ in range(n_batches):
                np.matmul(below, weights)
                np.matmul(below.T, above, out=sums)
                start = time.perf_counter()
                np.add(weights, sums, out=weights)
                total += time.perf_counter() - start
                weights.fill(0)
        return total

    name = "pass over 784–256 weights after products, float32, all cores / one thread"
    figure = Figure(name)
    spent(None), spent(1)
    for _ in range(repeats):
        figure.add(spent(None) / spent(1))
    return figure


def against_products(n_large: int, n_small: int, repeats: int) -> list[Figure]:
    """Time of an epoch over that of its matrix products."""
    default = GGDRMRegressor()
    dropout = {"dropout": default.dropout}
    sweeps = ContrastiveDivergence.n_mean_field_iter
    figures = []
    for dtype in (np.float32, np.float64):
        for layers, n_rows, kind, steps, target in (
            (LARGE, n_large, Bernoulli, 1, 1.5),
            (LARGE, n_large, Gaussian, 1, None),
            (SMALL, n_small, Gaussian, default.n_gibbs_steps, 3.5),
        ):
            sizes = "–".join(map(str, layers))
            name = (
                f"pre-training / products, {sizes} {kind.__name__}, CD-{steps}, "
                f"{dtype.__name__}"
            )
            epoch, _ = chain_epoch(
                layers,
                n_rows,
                kind,
                dtype,
                n_gibbs_steps=steps,
                n_mean_field_iter=sweeps,
            )
            counts = pretraining_counts(len(layers) - 1, steps, sweeps)
            alone = repeated_products(layers, counts, n_rows // BATCH, dtype)
            figure = Figure(name, "≤", target) if target else Figure(name)
            figures.append(ratio(figure, epoch, alone, repeats))
        for layers, n_rows, target in ((LARGE, n_large, 1.5), (SMALL, n_small, 3.5)):
            sizes = "–".join(map(str, layers))
            counts = tuning_counts(len(layers) - 1)
            alone = repeated_products(layers, counts, n_rows // BATCH, dtype)
            for label, settings in (
                ("default dropout and averaging", dropout),
                ("plain", {}),
            ):
                name = f"fine-tuning / products, {sizes}, {label}, {dtype.__name__}"
                figure = Figure(name, "≤", target)
                epoch = tuning_epoch(layers, n_rows, dtype, **settings)
                figures.append(ratio(figure, epoch, alone, repeats))
    return figures


def prediction(n_rows: int, repeats: int) -> list[Figure]:
    """Time of ``MLPRegressor.predict`` over ``predict_y``."""
    figures = []
    for dtype in (np.float32, np.float64):
        x, y = paired_rows(n_rows, dtype)
        model = GGDRMRegressor(fine_tune_epochs=2, random_state=0)
        model.fit(x[:1000], y[:1000])
        for activation in ("relu", "logistic"):
            network = MLPRegressor(
                hidden_layer_sizes=SMALL[1:-1], activation=activation, max_iter=2
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                network.fit(x[:1000], y[:1000])
            figure = Figure(
                f"MLPRegressor ({activation}) / chain, predict {n_rows} rows, "
                f"{dtype.__name__}",
                "≥",
                1.0,
            )
            ours, theirs = partial(model.predict_y, x), partial(network.predict, x)
            figures.append(ratio(figure, theirs, ours, repeats))
    return figures


def growth(sizes: Sequence[int], repeats: int) -> list[Figure]:
    """Time per row and epoch, and additional memory, as the rows grow."""
    figures = []
    estimator = GGDRMRegressor(
        pretrain_epochs=1,
        fine_tune_epochs=1,
        batch_size=BATCH,
        early_stopping=False,
        random_state=0,
    )
    first = sizes[0]
    few = paired_rows(first, np.float32)
    for n_rows in sizes[1:]:
        rows = paired_rows(n_rows, np.float32)
        figure = Figure(f"time per row and epoch, {n_rows} / {first} rows", "≤", 1.2)
        for _ in range(repeats):
            long = seconds(partial(estimator.fit, *rows)) / n_rows
            short = seconds(partial(estimator.fit, *few)) / first
            figure.add(long / short)
        figures.append(figure)
    for n_rows in sizes[1:]:
        rows = paired_rows(n_rows, np.float32)
        size = sum(view.nbytes for view in rows) / MEBIBYTE
        name = f"additional memory, {n_rows} rows ({shown(size, 0)} MiB)"
        figure = Figure(f"{name}, MiB", "≤", 100.0)
        figure.add(additional_memory(partial(estimator.fit, *rows)))
        figures.append(figure)
        with tempfile.TemporaryDirectory() as folder:
            mapped = [
                on_disk(Path(folder) / name, view)
                for name, view in zip("xy", rows, strict=True)
            ]
            figure = Figure(f"{name}, memory-mapped, MiB", "≤", 100.0)
            figure.add(additional_memory(partial(estimator.fit, *mapped)))
            figures.append(figure)
            del mapped
    return figures


def on_disk(path: Path, rows: Array) -> Array:
    """The rows as a read-only memory-mapped file."""
    np.save(path.with_suffix(".npy"), rows)
    mapped: Array = np.load(path.with_suffix(".npy"), mmap_mode="r")
    return mapped


def additional_memory(work: Work) -> float:
    """Peak of what some work allocates, in MiB."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MEBIBYTE
    finally:
        tracemalloc.stop()


def paired_rows(n_rows: int, dtype: Any) -> tuple[Array, Array]:
    """Two views of the small chain's sizes that share ten directions."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n_rows, 10), dtype=dtype)
    views = []
    for width in (SMALL[0], SMALL[-1]):
        view = shared @ rng.standard_normal((10, width), dtype=dtype)
        view += rng.standard_normal(view.shape, dtype=dtype)
        views.append(view)
    return views[0], views[1]


def precision(n_large: int, n_small: int, repeats: int) -> list[Figure]:
    """Time of float64 over float32."""
    estimator = GGDRMRegressor(
        pretrain_epochs=1,
        fine_tune_epochs=2,
        batch_size=BATCH,
        early_stopping=False,
        random_state=0,
    )
    double, single = (paired_rows(n_small, dtype) for dtype in (np.float64, np.float32))
    estimators = "float64 / float32, fit of 40–100–100–32"
    figures = [
        ratio(
            Figure(estimators, "≥", 1.4),
            partial(estimator.fit, *double),
            partial(estimator.fit, *single),
            repeats,
        )
    ]
    epochs = [
        chain_epoch(
            LARGE, n_large, Bernoulli, dtype, n_gibbs_steps=1, n_mean_field_iter=1
        )[0]
        for dtype in (np.float64, np.float32)
    ]
    figure = Figure("float64 / float32, pre-training of 784–256–10", "≥", 1.4)
    figures.append(ratio(figure, epochs[0], epochs[1], repeats))
    fitted = [(clone_fit(estimator, views), views[0]) for views in (double, single)]
    figure = Figure("float64 / float32, predict_y", "≥", 1.4)
    works = [partial(model.predict_y, x) for model, x in fitted]
    figures.append(ratio(figure, works[0], works[1], repeats))
    return figures


def clone_fit(estimator: GGDRMRegressor, views: tuple[Array, Array]) -> GGDRMRegressor:
    """A copy of the estimator, fitted to some of the rows."""
    x, y = views
    return GGDRMRegressor(**estimator.get_params()).fit(x[:1000], y[:1000])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measurements and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument(
        "--repeats", type=int, default=7, help="repeats of each ratio (default: 7)"
    )
    parser.add_argument("--full", action="store_true", help="up to a million rows")
    parser.add_argument(
        "--quick", action="store_true", help="few rows: only whether everything runs"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="JSON")
    arguments = parser.parse_args(argv)
    words = list(sys.argv[1:] if argv is None else argv)
    if arguments.quick:
        large, small, predicted, sizes = 400, 400, 2000, [1000, 2000]
    else:
        large, small, predicted, sizes = 20_000, 10_000, 100_000, [10_000, 100_000]
    if arguments.full:
        sizes.append(1_000_000)
    repeats = arguments.repeats
    clocked = against_bernoulli_rbm(
        large, min(repeats, 5), ", all cores", seconds_on_the_clock
    )
    shared = pass_after_products(large // BATCH, repeats)
    with threadpool_limits(1, user_api="blas"):
        figures = [
            *against_bernoulli_rbm(large, min(repeats, 5)),
            *clocked,
            shared,
            *against_products(large, small, repeats),
            *prediction(predicted, repeats),
            *growth(sizes, min(repeats, 3)),
            *precision(large // 4, small // 2, repeats),
        ]
    table = markdown_table(
        ["what", "median [range]", "target", "holds"],
        [figure.row() for figure in figures],
    )
    print(table)
    path = output_path(arguments, "bench_speed")
    if path is not None:
        results = {
            "run": describe_run("bench_speed.py", words, 1),
            "figures": [
                {
                    **figure.to_dict(),
                    "target": f"{figure.relation} {figure.target}".strip()
                    if figure.relation
                    else None,
                }
                for figure in figures
            ],
        }
        write_results(path, results, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

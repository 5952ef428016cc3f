"""Predictions of one direction as an ONNX graph (extra ``onnx``)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.decomposition import PCA, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted

from sklearn_drm.core.chain import Chain
from sklearn_drm.core.mean_field import self_energy
from sklearn_drm.core.model import RelationalModel, mirror
from sklearn_drm.core.predictor import MeanFieldInference, Predictor
from sklearn_drm.core.units import Array, Bernoulli, Gaussian
from sklearn_drm.fitted_view import FittedView, affine_map
from sklearn_drm.learning.feed_forward import FeedForward
from sklearn_drm.swap_views import SwapViews
from sklearn_drm.two_view import TwoViewRegressor

__all__ = ["register_converters", "to_onnx"]

_OPSET = 17
_AFFINE = (
    FastICA,
    IncrementalPCA,
    MaxAbsScaler,
    MinMaxScaler,
    PCA,
    RobustScaler,
    StandardScaler,
    TruncatedSVD,
)


def to_onnx(
    model: Any, direction: str = "y", *, space: str = "original", dtype: Any = None
) -> Any:
    """Export the prediction of one view from the other.

    Parameters
    ----------
    model : GGDRMRegressor, TwoViewRegressor or SwapViews
        Fitted. Inference by mean field is unrolled, sweep by sweep.
    direction : {"y", "x"}, default="y"
        "y": what ``predict_y`` gives; "x": what ``predict_x`` gives.
    space : {"original", "transformed"}, default="original"
        Of a :class:`~sklearn_drm.TwoViewRegressor`'s output, as in its predictions.
    dtype : {float32, float64} or None, default=None
        Of input and output; None: that of the model's parameters.

    Returns
    -------
    onnx.ModelProto
        Input ``"input"`` of shape (n, n_in), one flattened row per row; output
        ``"prediction"`` of shape (n, n_out), (n, 1) where the view is 1-D.

    Raises
    ------
    ImportError
        Without the packages of the extra ``onnx``.
    ValueError
        For an unknown direction or space, a model of another kind, or a transformer
        with no counterpart in ONNX: on the input side what skl2onnx does not know,
        on the output side an inverse that is not affine.

    Notes
    -----
    Scaling and affine transformers are computed in float64 whatever ``dtype`` is, so
    that columns with a large mean lose nothing; what skl2onnx converts, in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_drm import GGDRMRegressor
    >>> from sklearn_drm.onnx_export import to_onnx
    >>> X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    >>> model = GGDRMRegressor(n_hidden_units=5, fine_tune_epochs=2).fit(X, X[:, :2])
    >>> graph = to_onnx(model, direction="x").graph
    >>> [value.name for value in (*graph.input, *graph.output)]
    ['input', 'prediction']
    """
    if direction not in ("y", "x"):
        raise ValueError(f"direction must be 'y' or 'x'; got {direction!r}.")
    if space not in ("original", "transformed"):
        raise ValueError(f"space must be 'original' or 'transformed'; got {space!r}.")
    check_is_fitted(model)
    given = model
    while isinstance(model, SwapViews):
        model, direction = model.estimator_, "x" if direction == "y" else "y"
    views: dict[str, FittedView | None] = {"x": None, "y": None}
    regressor = model
    if isinstance(model, TwoViewRegressor):
        regressor, views = model.regressor_, {"x": model._x_view, "y": model._y_view}
    if not (hasattr(regressor, "predictors_") and hasattr(regressor, "model_")):
        raise ValueError(
            "to_onnx exports GGDRMRegressor, TwoViewRegressor and SwapViews around it, "
            f"not {type(given).__name__}"
            + ("" if given is regressor else f" around {type(regressor).__name__}")
            + "; use skl2onnx for other estimators."
        )
    chain_model: RelationalModel = regressor.model_
    if direction == "x":
        chain_model = mirror(chain_model)
    for layer in (chain_model.chain.x, chain_model.chain.y):
        if not isinstance(layer, Gaussian):
            raise ValueError(
                f"to_onnx exports models of two real-valued views; one view of "
                f"{type(regressor).__name__} has {type(layer).__name__} units."
            )
    if dtype is None:
        dtype = chain_model.weights[0].dtype
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64; got {dtype}.")
    graph = _Graph(dtype)
    source = views["x" if direction == "y" else "y"]
    goal = views[direction]
    value, width = graph.cast("input", np.float64), len(chain_model.x_scale)
    if source is not None and source.transformer is not None:
        width = source.width
        value = _transformed(graph, value, source)
    scaling = chain_model.x_scaling
    value = graph.op("Sub", value, graph.constant(scaling.location, np.float64))
    # Constant columns become 0, whatever they hold.
    scale = np.where(scaling.constant, np.inf, scaling.scale)
    value = graph.op("Div", value, graph.constant(scale, np.float64))
    value = graph.cast(value, dtype)
    value = _predicted(graph, value, regressor.predictors_[direction])
    value = graph.cast(value, np.float64)
    scaling = chain_model.y_scaling
    value = graph.op("Mul", value, graph.constant(scaling.scale, np.float64))
    value = graph.op("Add", value, graph.constant(scaling.location, np.float64))
    n_out = len(scaling.scale)
    if goal is not None and goal.transformer is not None and space == "original":
        affine = affine_map(
            goal._inverse, scaling.location[None, :], scaling.scale[None, :]
        )
        if affine is None:
            raise ValueError(
                f"The inverse of {direction}_transformer "
                f"({type(goal.transformer).__name__}) is not affine, and only affine "
                "ones are exported: pass space='transformed' and apply "
                "inverse_transform to the output."
            )
        value = graph.affine(value, affine.matrix, affine.offset)
        n_out = len(affine.offset)
    return graph.model(graph.cast(value, dtype), width, n_out)


def register_converters() -> None:
    """Make skl2onnx convert ``GGDRMRegressor``, alone or at the end of a Pipeline.

    The converted estimator predicts y from X; :func:`to_onnx` gives either direction.

    Raises
    ------
    ImportError
        Without the packages of the extra ``onnx``.

    Examples
    --------
    >>> from sklearn_drm.onnx_export import register_converters
    >>> register_converters()
    """
    _import()
    from skl2onnx import update_registered_converter

    from sklearn_drm.estimators import GGDRMRegressor

    update_registered_converter(
        GGDRMRegressor, "SklearnDrmGGDRMRegressor", _shapes, _convert
    )


def _shapes(operator: Any) -> None:
    n_outputs = operator.raw_operator.n_outputs_
    kind = type(operator.inputs[0].type)
    operator.outputs[0].type = kind(
        [operator.inputs[0].get_first_dimension(), n_outputs]
    )


def _convert(scope: Any, operator: Any, container: Any) -> None:
    from onnx import helper, numpy_helper

    double = "Double" in type(operator.inputs[0].type).__name__
    graph = to_onnx(
        operator.raw_operator, dtype=np.float64 if double else np.float32
    ).graph
    names = {
        "input": operator.inputs[0].full_name,
        "prediction": operator.outputs[0].full_name,
    }

    def renamed(name: str) -> str:
        if name not in names:
            names[name] = str(scope.get_unique_variable_name("drm_" + name))
        return str(names[name])

    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        container.add_initializer(
            renamed(tensor.name), tensor.data_type, values.shape, values.ravel()
        )
    for node in graph.node:
        container.add_node(
            node.op_type,
            [renamed(name) for name in node.input],
            [renamed(name) for name in node.output],
            op_version=_OPSET,
            name=scope.get_unique_operator_name("drm_" + node.op_type),
            **{a.name: helper.get_attribute_value(a) for a in node.attribute},
        )


def _import() -> tuple[Any, Any]:
    try:
        import onnx
        import skl2onnx
    except ImportError as error:
        raise ImportError(
            f"ONNX export needs {error.name}: "
            'pip install ".[onnx]" in a clone of the package.'
        ) from error
    return onnx, skl2onnx


class _Graph:
    """An ONNX graph under construction; operations return names of their results."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.onnx, self.skl2onnx = _import()
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.opsets = {"": _OPSET}

    def constant(self, values: Any, dtype: Any = None) -> str:
        name: str = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(values, dtype=dtype or self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"value_{len(self.nodes)}"
        node = self.onnx.helper.make_node(kind, list(inputs), [name], **attributes)
        self.nodes.append(node)
        return name

    def cast(self, value: str, dtype: Any) -> str:
        to = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.op("Cast", value, to=to)

    def affine(self, value: str, matrix: Array, offset: Array) -> str:
        """``value @ matrix + offset`` in float64."""
        value = self.op("MatMul", value, self.constant(matrix, np.float64))
        return self.op("Add", value, self.constant(offset, np.float64))

    def part(self, value: str, step: Any, width: int) -> str:
        """Append what skl2onnx makes of a transformer.

        In float32: several of its converters mix types when asked for float64.
        """
        from skl2onnx.common.data_types import FloatTensorType

        converted = self.skl2onnx.convert_sklearn(
            step,
            initial_types=[("rows", FloatTensorType([None, width]))],
            target_opset={"": _OPSET, "ai.onnx.ml": 3},
        )
        for opset in converted.opset_import:
            self.opsets.setdefault(opset.domain, opset.version)
        prefix = f"part_{len(self.nodes)}_"
        graph = self.onnx.compose.add_prefix_graph(converted.graph, prefix)
        self.constants.extend(graph.initializer)
        self.cast(value, np.float32)
        self.nodes[-1].output[0] = graph.input[0].name
        self.nodes.extend(graph.node)
        return self.cast(str(graph.output[0].name), np.float64)

    def model(self, value: str, n_in: int, n_out: int) -> Any:
        helper = self.onnx.helper
        self.nodes.append(helper.make_node("Identity", [value], ["prediction"]))
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        # Runtimes warn of every constant that nothing uses; what skl2onnx made may be
        # used out of sight, in a graph within its graph.
        used = {name for node in self.nodes for name in node.input}
        constants = [
            tensor
            for tensor in self.constants
            if tensor.name in used or not tensor.name.startswith("constant_")
        ]
        graph = helper.make_graph(
            self.nodes,
            "sklearn_drm",
            [helper.make_tensor_value_info("input", kind, ["n", n_in])],
            [helper.make_tensor_value_info("prediction", kind, ["n", n_out])],
            constants,
        )
        opsets = [helper.make_opsetid(*item) for item in self.opsets.items()]
        model = helper.make_model(
            graph, opset_imports=opsets, producer_name="sklearn-drm", ir_version=8
        )
        self.onnx.checker.check_model(model)
        return model


def _predicted(graph: _Graph, value: str, predictor: Predictor) -> str:
    hidden: Any = predictor.hidden
    if isinstance(hidden, MeanFieldInference):
        value = _mean_field(graph, value, hidden)
    elif isinstance(hidden, FeedForward):
        for weight, bias in zip(hidden.weights[:-1], hidden.biases[:-1], strict=True):
            value = graph.op("MatMul", value, graph.constant(weight))
            value = graph.op("Add", value, graph.constant(bias))
            value = graph.op("Sigmoid", value)
    else:
        raise ValueError(
            f"The predictor's hidden units come from {type(hidden).__name__}, which "
            "to_onnx does not know."
        )
    value = graph.op("MatMul", value, graph.constant(predictor.weight))
    return graph.op("Add", value, graph.constant(predictor.bias))


def _mean_field(graph: _Graph, value: str, inference: MeanFieldInference) -> str:
    """The sweeps of :func:`~sklearn_drm.core.mean_field.mean_field`, y free."""
    chain: Chain = inference.chain
    for layer in chain.hidden:
        if not isinstance(layer, Bernoulli):
            raise ValueError(f"to_onnx knows no hidden {type(layer).__name__} units.")
    last = chain.weights[-1]
    # The coupling of a Gaussian is linear, its mean is bias + field.
    scale_x = chain.x.coupling(np.ones((1, chain.x.n_units)))[0]
    scale_y = chain.y.coupling(np.ones((1, chain.y.n_units)))[0]
    first = graph.constant(scale_x[:, None] * chain.weights[0])
    from_x = graph.op("MatMul", value, first)
    down, up = graph.constant(last), graph.constant(scale_y[:, None] * last.T)
    bias_y = graph.constant(chain.y.bias)
    biases = [graph.constant(layer.bias) for layer in chain.hidden]
    weights = [graph.constant(weight) for weight in chain.weights]
    backward = [graph.constant(weight.T) for weight in chain.weights]
    hidden = [graph.constant(np.atleast_2d(mean)) for mean in inference.initial]
    half = graph.constant(np.array(0.5))
    excitation = graph.constant(self_energy(chain))
    keep = graph.constant(np.array(inference.damping))
    take = graph.constant(np.array(1 - inference.damping))
    top = chain.n_hidden_layers - 1
    for _ in range(inference.n_iter):
        for index in range(top + 1):
            field = from_x
            if index:
                field = graph.op("MatMul", hidden[index - 1], weights[index])
            field = graph.op("Add", field, biases[index])
            old = hidden[index]
            if index < top:
                above = graph.op("MatMul", hidden[index + 1], backward[index + 1])
                field = graph.op("Add", field, above)
                hidden[index] = graph.op("Sigmoid", field)
                continue
            expected = graph.op("Add", graph.op("MatMul", old, down), bias_y)
            field = graph.op("Add", field, graph.op("MatMul", expected, up))
            if inference.method == "collapsed":
                pull = graph.op("Mul", excitation, graph.op("Sub", half, old))
                field = graph.op("Add", field, pull)
            new = graph.op("Sigmoid", field)
            if inference.damping:
                old = graph.op("Mul", old, keep)
                new = graph.op("Add", old, graph.op("Mul", new, take))
            hidden[index] = new
    return hidden[top]


def _transformed(graph: _Graph, value: str, view: FittedView) -> str:
    """The input view's transformer, step by step."""
    width = view.width
    for step in _steps(view.transformer):
        n_out = None
        try:
            if _is_affine(step):
                affine = _linear(step, width, view.shape)
                value = graph.affine(value, *affine)
                n_out = len(affine[1])
            else:
                value = graph.part(value, step, width)
        except Exception as error:
            raise ValueError(
                f"{type(step).__name__} of {view.name}_transformer has no counterpart "
                f"in ONNX ({' '.join(str(error).split())[:200]}): export "
                "model.regressor_ and transform the rows yourself."
            ) from error
        if n_out is None:
            n_out = step.transform(np.zeros((1, width))).shape[1]
        width = n_out
    return value


def _is_affine(step: Any) -> bool:
    # skl2onnx takes these too, but partly with parameters in float32.
    if getattr(step, "clip", False):
        if isinstance(step, MaxAbsScaler):
            raise ValueError("skl2onnx leaves out clip=True")
        return False
    return isinstance(step, _AFFINE) or getattr(step, "_is_linear_map", False)


def _linear(step: Any, width: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Matrix and offset of an affine transformer, read off the unit vectors."""
    rows = np.vstack([np.zeros((1, width)), np.eye(width)])
    if getattr(step, "_is_linear_map", False) and np.prod(shape) == width:
        rows = rows.reshape(-1, *shape)
    with warnings.catch_warnings():
        # A step that was fitted on a data frame misses the columns' names.
        warnings.filterwarnings("ignore", message=".*valid feature names")
        image = np.asarray(step.transform(rows), dtype=np.float64)
    return image[1:] - image[0], image[0]


def _steps(transformer: Any) -> list[Any]:
    if isinstance(transformer, Pipeline):
        return [s for _, step in transformer.steps for s in _steps(step)]
    return [] if transformer in (None, "passthrough") else [transformer]

"""Every public name has a page, and its docstring says what a user needs."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

docscrape = pytest.importorskip("numpydoc.docscrape")

ROOT = Path(__file__).parents[1]
MODULES = (
    "sklearn_drm",
    "sklearn_drm.inspection",
    "sklearn_drm.metrics",
    "sklearn_drm.lipspeech",
    "sklearn_drm.lipspeech.systems",
    "sklearn_drm.onnx_export",
    "sklearn_drm.versioned",
    "drm_transformers",
)
OURS = ("sklearn_drm", "drm_transformers")
NAMES = [
    f"{module}.{name}"
    for module in MODULES
    for name in importlib.import_module(module).__all__
    if not name.startswith("__") and name != "DEFAULT"  # a string
]


def lookup(path):
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def public_methods(cls):
    """Methods that a user calls and that are written in this package."""
    found = {}
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if isinstance(member, (classmethod, staticmethod)):
            member = member.__func__
        member = getattr(member, "fn", member)  # available_if
        member = inspect.unwrap(member) if callable(member) else member
        if name.startswith("_") or not inspect.isfunction(member):
            continue
        if member.__module__.startswith(OURS):
            found[name] = member
    return found


CALLABLES = {path: lookup(path) for path in NAMES}
CALLABLES |= {
    f"{path}.{name}": method
    for path, cls in list(CALLABLES.items())
    if inspect.isclass(cls) and not issubclass(cls, Exception)
    for name, method in public_methods(cls).items()
}


def raised(function):
    """Names of the exceptions that the code of a function raises by itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {
        ast.unparse(node.exc.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    }


def arguments(function):
    skipped = ("self", "cls")
    return [
        name for name in inspect.signature(function).parameters if name not in skipped
    ]


def untold_defaults(parameters, thing):
    """Parameters whose default the docstring does not tell, or tells wrongly."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(thing).parameters.items()
        if isinstance(parameter.default, bool | int | float | str | tuple | None)
    }
    found = []
    for entry in parameters:
        names = [name.strip() for name in entry.name.split(",")]
        told = re.search(r"default=(.+)$", entry.type)
        try:
            values = ast.literal_eval(f"[{told[1]}]" if told else "[]")
        except (SyntaxError, ValueError):
            values = []
        for index, name in enumerate(names):
            if name not in defaults:
                continue
            if defaults[name] is None and re.search(r"optional|^None$", entry.type):
                continue
            # One value may stand for all names.
            value = (values[index:] or values or [...])[0]
            if type(value) is not type(defaults[name]) or value != defaults[name]:
                found.append(name)
    return found


def missing_sections(path, thing):
    """What the docstring lacks, in words."""
    doc = docscrape.NumpyDocString(inspect.cleandoc(thing.__doc__ or ""))
    lacks = []
    if not " ".join(doc["Summary"]).strip():
        return ["a summary"]
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return []
    described = {
        name.strip().lstrip("*")
        for section in ("Parameters", "Other Parameters")
        for parameter in doc[section]
        for name in parameter.name.split(",")
    }
    fields = {
        name.strip() for entry in doc["Attributes"] for name in entry.name.split(",")
    }
    is_class = inspect.isclass(thing)
    if is_class and not issubclass(thing, BaseEstimator):
        described |= fields  # a record's fields are its parameters
    taken = [name for name in arguments(thing) if name not in ("args", "kwargs")]
    if undescribed := sorted(set(taken) - described):
        lacks.append(f"Parameters: {', '.join(undescribed)}")
    given = {p.name for p in doc["Parameters"] if "," not in p.name}
    if unknown := sorted(given - set(taken)):
        lacks.append(f"Parameters that it does not take: {', '.join(unknown)}")
    if untold := untold_defaults(doc["Parameters"] + doc["Attributes"], thing):
        lacks.append(f"defaults of {', '.join(untold)}")
    if is_class:
        if issubclass(thing, BaseEstimator) and not fields:
            lacks.append("Attributes")
    else:
        returns = inspect.signature(thing).return_annotation
        if str(returns) != "None" and not (doc["Returns"] or doc["Yields"]):
            lacks.append("Returns")
        listed = {e.type or e.name for e in doc["Raises"]}
        if unlisted := sorted(raised(thing) - listed):
            lacks.append(f"Raises: {', '.join(unlisted)}")
    top_level = path in NAMES
    if top_level and not doc["Examples"]:
        lacks.append("Examples")
    return lacks


@pytest.mark.parametrize("path", CALLABLES)
def test_docstring_is_complete(path):
    assert missing_sections(path, CALLABLES[path]) == []


def listed_names():
    """Names in the autosummary tables of the API reference."""
    return set().union(*map(_tables, (ROOT / "docs" / "api").glob("*.rst")))


def _tables(page):
    text = page.read_text(encoding="utf-8")
    found = set()
    for block in re.findall(r"^\.\. autosummary::\n((?:[ \t]+.*\n|\n)+)", text, re.M):
        found |= set(re.findall(r"^\s+~?([a-z_.]+\.\w+)\s*$", block, re.M))
    return found


@pytest.mark.parametrize("path", NAMES)
def test_public_name_has_a_page(path):
    assert path in listed_names(), f"add {path} to a table in docs/api/*.rst"


def test_pages_are_of_public_names():
    extra = sorted(name for name in listed_names() if name.startswith(OURS))
    assert [name for name in extra if name not in NAMES and not _exists(name)] == []


def _exists(path):
    try:
        lookup(path)
    except (ImportError, AttributeError):
        return False
    return True


def test_the_check_finds_what_is_missing():
    """The check itself, on a function with every fault."""

    def faulty(a, b, d=0, e=1, f=None, g=2):
        """Add.

        Parameters
        ----------
        a, c : int
        d : int
        e, f : int or None, default=1, 2
        g : int, default=2
        """
        if a < b:
            raise ValueError
        if a == b:
            raise ValueError("equal")
        return a + b

    assert missing_sections("faulty", faulty) == [
        "Parameters: b",
        "defaults of d, f",
        "Returns",
        "Raises: ValueError",
    ]

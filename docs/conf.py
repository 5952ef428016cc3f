"""Configuration of the documentation."""

import re

project = "sklearn-drm"
author = "The sklearn-drm developers"
copyright = "2026, The sklearn-drm developers"
extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_parser"]
html_theme = "pydata_sphinx_theme"
exclude_patterns = ["_build"]
numpydoc_show_class_members = False
autodoc_default_options = {"members": True}


def _skip(app, what, name, member, skip, options):
    # scikit-learn generates these; their text links into its own documentation.
    generated = name.startswith("set_") and name.endswith("_request")
    return True if generated or name == "get_metadata_routing" else skip


def _escape(app, what, name, obj, options, lines):
    # Fitted names in shapes, as (n_frames_, *row_shape_), are no links and no emphasis.
    for index, line in enumerate(lines):
        if "n_hops_" in line or ("`" not in line and "shape (" in line):
            line = re.sub(r"\b([a-z]\w*)_(?=[^\w:])(?! :)", r"\1\\_", line)
            lines[index] = line.replace("(*", r"(\*").replace(" *", r" \*")


def setup(app):
    # Before numpydoc, which runs at the default priority of 500.
    app.connect("autodoc-process-docstring", _escape, priority=400)
    app.connect("autodoc-skip-member", _skip)

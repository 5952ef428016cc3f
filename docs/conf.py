"""Configuration of the documentation."""

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


def setup(app):
    app.connect("autodoc-skip-member", _skip)

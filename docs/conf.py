"""Configuration of the documentation."""

import re
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from import_picture import draw_imports

HERE = Path(__file__).parent

project = "sklearn-drm"
author = "The sklearn-drm developers"
copyright = "2026, The sklearn-drm developers"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    # Formulas are set without a network too.
    "sphinx-mathjax-offline",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "examples", "sg_execution_times.rst"]
# The gallery's settings hold functions.
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# Single backquotes in docstrings are code.
default_role = "literal"
numpydoc_show_class_members = False
autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
# Not intersphinx: these pages are built without a network.
_SKLEARN = "https://scikit-learn.org/stable/modules/generated/sklearn."
extlinks = {"sklearn": (f"{_SKLEARN}%s.html", "%s")}

# Quotes in types of parameters are code.
smartquotes = False

html_theme = "pydata_sphinx_theme"
html_title = "sklearn-drm"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "show_prev_next": True,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {
    "getting_started": [],
    "experiment": [],
    "auto_examples/**": ["sidebar-nav-bs"],
}

GALLERY = (
    "plot_digits_halves.py",
    "plot_lips_speech.py",
    "plot_missing_view.py",
    "plot_grid_search.py",
    "plot_hidden_units.py",
    "plot_likelihood_sampling.py",
    "plot_digits_family.py",
)


class GalleryOrder:
    """Sorts the examples; sphinx-gallery makes it from the folder of the sources."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        return GALLERY.index(name)


sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_drm", "drm_transformers"),
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    # Displays and estimators at the end of a block are shown by their pictures.
    "capture_repr": ("_repr_html_",),
    "matplotlib_animations": False,
    "within_subsection_order": GalleryOrder,
    "plot_gallery": "True",
}
# pysptk and pyworld import a module that setuptools is about to drop.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")


def _skip(app, what, name, member, skip, options):
    # scikit-learn generates these; their text links into its own documentation.
    generated = name.startswith("set_") and name.endswith(("_request", "_callbacks"))
    generated = generated or name == "set_callbacks"
    return True if generated or name == "get_metadata_routing" else skip


def _escape(app, what, name, obj, options, lines):
    # Fitted names in shapes, as (n_frames_, *row_shape_), are no links and no emphasis.
    for index, line in enumerate(lines):
        if "n_hops_" in line or ("`" not in line and "shape (" in line):
            line = re.sub(r"\b([a-z]\w*)_(?=[^\w:])(?! :)", r"\1\\_", line)
            lines[index] = line.replace("(*", r"(\*").replace(" *", r" \*")


def _pictures(app):
    draw_imports(HERE / "generated" / "imports.svg")


def setup(app):
    # Before numpydoc, which runs at the default priority of 500.
    app.connect("autodoc-process-docstring", _escape, priority=400)
    app.connect("autodoc-skip-member", _skip)
    app.connect("builder-inited", _pictures, priority=100)

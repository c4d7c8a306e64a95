"""Sphinx configuration."""

import sys
from pathlib import Path

from handinger_async import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "handinger_async"
author = "the handinger_async authors"
copyright = "2026, the handinger_async authors"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "architecture",  # in _ext, as the next ones
    "clauses_table",
    "operations_table",
]
nitpicky = False
default_role = "any"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"handinger_async {release}"
exclude_patterns = ["_build"]
html_static_path = ["_static"]
html_css_files = ["plots.css"]

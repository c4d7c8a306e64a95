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
    "sphinx.ext.viewcode",
    "architecture",  # in _ext, as the next ones
    "clauses_table",
    "command_line",
    "operations_table",
    "reference",
    "search_words",
]
nitpicky = True
nitpick_ignore_regex = [
    # Other packages, and type variables, have no pages here.
    ("py:.*", r"(asyncio|collections|concurrent|datetime|os|pathlib|random|ssl|types)\..*"),
    ("py:.*", r"(aiohttp|hypothesis|pytest|yarl)\..*"),
    ("py:.*", r"(.*\.)?[A-Z]"),
    ("py:class", r"UnsetType\.UNSET"),
]
default_role = "any"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 80
python_display_short_literal_types = True

html_theme = "furo"
html_title = f"handinger_async {release}"
exclude_patterns = ["_build"]
html_static_path = ["_static"]
html_css_files = ["plots.css", "reference.css"]
html_search_scorer = str(Path(__file__).parent / "_ext" / "scorer.js")

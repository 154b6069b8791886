"""The documentation site: `make docs` writes it to build/docs. Notebooks of the course are run while it is made."""

import re

from numdnc import __version__

project = "numdnc"
author = "numdnc contributors"
release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",  # so that the site loads nothing from elsewhere
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
default_role = "literal"
highlight_language = "none"  # of blocks that name no language: equations, commands
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures and docstrings say them; trees of arrays would fill pages
html_theme = "furo"
html_title = f"numdnc {__version__}"
html_favicon = "icon.svg"  # without one browsers ask for /favicon.ico, which is missing
html_static_path = ["_static"]  # pages of the inspector, which `make docs` writes there
html_show_sphinx = False
html_show_copyright = False


def _docstring(app, what, name, obj, options, lines):
    """Show lists of arguments as such, indented equations as they stand, and bars and stars outside these."""
    if (heading := "Arguments, with their defaults:") in lines:
        at = lines.index(heading)
        lines[at : at + 2] = ["Args:"]
    indented = [line.startswith("    ") for line in lines]
    for at in reversed(range(len(lines))):
        if not indented[at]:
            lines[at] = re.sub(r"(?<=.)\*|\|", r"\\\g<0>", lines[at])
        elif at > 1 and not lines[at - 1].strip() and not indented[at - 2] and lines[at - 2].strip():
            lines[at:at] = ["::", ""]


def _fields(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples, which Python documents as aliases of numbers."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    """Sphinx calls this."""
    app.connect("autodoc-skip-member", _fields)
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # before napoleon

"""Configuration of Sphinx for both languages: the sources are `en/` and `ko/`.

`sphinx-build -c docs -t ko docs/ko OUT` builds the Korean site; `docs/build.py` builds both.
"""

import os
import sys
import typing
from importlib import metadata
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]
# jaxtyping then writes `Float[Array, "batch dim"]` in signatures, as the source does.
typing.GENERATING_DOCUMENTATION = "jaxtyping"  # ty: ignore

import docstrings  # noqa: E402
import reference  # noqa: E402
import signatures  # noqa: E402

language = "ko" if tags.has("ko") else "en"
BUILD = Path(os.environ.get("JAXNET_DOCS_BUILD", DOCS / "_build"))

project = "jaxnet"
author = "jaxnet contributors"
copyright = "jaxnet contributors"
try:
    release = metadata.version("functional-jaxnet")
except metadata.PackageNotFoundError:  # a source tree
    release = ""

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
templates_path = ["_templates"]
exclude_patterns = ["**/.ipynb_checkpoints"]

# Pages.
html_theme = "furo"
html_title = {"en": "jaxnet", "ko": "jaxnet 한국어"}[language]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"

# Chapters are notebooks in MyST Markdown. They run once: both languages share what a cache in the
# build directory holds, since their code is the same.
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILD / "jupyter-cache")
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_output_stderr = "remove-warn"

# Docstrings are in Google style, and text in single backquotes is code.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 80
add_module_names = False

# A reference to a name of jaxnet must exist. The names of other projects are links where
# JAXNET_DOCS_ONLINE=1 lets Sphinx download their inventories, and code elsewhere.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!jaxnet\.).*"),
    # Classes and type variables of modules, which signatures name: only namespaces are public.
    (r"py:.*", r"jaxnet\.\w+\.[a-z_]\w*\..*|jaxnet\.typing\.\w+"),
]
intersphinx_mapping = {}
if os.environ.get("JAXNET_DOCS_ONLINE") == "1":
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "jax": ("https://docs.jax.dev/en/latest", None),
        "optax": ("https://optax.readthedocs.io/en/latest", None),
        "flax": ("https://flax.readthedocs.io/en/latest", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }
if language == "ko":  # the reference is in English; its pages lie beside these
    intersphinx_mapping["jaxnet"] = ("../en", str(BUILD / "html" / "en" / "objects.inv"))


def link_languages(app, pagename, templatename, context, doctree):
    """Tell the template where this page is in the other language, or its first page."""
    other = {"en": "ko", "ko": "en"}[language]
    sources = DOCS / other
    exists = any((sources / f"{pagename}{suffix}").is_file() for suffix in (".md", ".rst"))
    root = "../" * (pagename.count("/") + 1)
    context["other_language"] = other
    context["other_page"] = f"{root}{other}/{pagename if exists else 'index'}.html"


def setup(app):
    app.connect("builder-inited", lambda app: reference.write_pages(Path(app.srcdir), language))
    if language == "en":
        app.connect("autodoc-skip-member", reference.skip_member)
        app.connect("autodoc-process-docstring", docstrings.process_docstring, priority=100)
        app.connect("autodoc-process-signature", signatures.process_signature)
        app.connect("missing-reference", signatures.resolve_short_name)
    app.connect("html-page-context", link_languages)

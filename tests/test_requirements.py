"""The requirements that pyproject.toml declares are those that the package imports."""

import ast
import functools
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Names of modules where they differ from those of their distributions.
MODULES = {
    "scikit_learn": "sklearn",
    "umap_learn": "umap",
    "faiss_cpu": "faiss",
    "tensorboardx": "tensorboardX",
    "pillow": "PIL",
}
# Libraries that `experiments.speed` compares with where a user has installed them.
PEERS = {"aeon", "torch", "clustpy"}
# Modules that are imported by users of an extra only.
OPTIONAL = {"jaxnet/nn/flax.py": "flax"}


def modules(requirements):
    """Top-level modules of requirements; extras of this project are resolved."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement).groups()
        if name == PROJECT["name"]:
            for extra in extras.split(","):
                found |= modules(EXTRAS[extra])
        else:
            name = re.sub(r"[-.]", "_", name).lower()
            found.add(MODULES.get(name, name))
    return found


def last_name(node):
    """The name of `name` and of `module.name`."""
    return getattr(node, "id", None) or getattr(node, "attr", None)


def is_type_checking(node):
    return isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING"


def third_party(tree, *, lazy):
    """Third-party modules that a file imports when it is imported, or (lazy) when it is used."""
    names = []

    def visit(node, inside):
        if is_type_checking(node):
            return
        if inside == lazy:
            if isinstance(node, ast.Import):
                names.extend(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "relative import"
                names.append(node.module)
            elif isinstance(node, ast.Call) and last_name(node.func) == "import_module":
                names.extend(
                    argument.value
                    for argument in node.args
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                )
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, False)
    local = {*sys.stdlib_module_names, "jaxnet", "experiments", "benchmarks"}
    return {name.split(".")[0] for name in names} - local


@functools.cache
def imports_of(file):
    """Third-party modules of a file: those of its import, and the lazy ones."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return third_party(tree, lazy=False), third_party(tree, lazy=True)


def imports(files, *, lazy=False):
    return {
        (module, file.relative_to(ROOT).as_posix())
        for file in files
        for module in imports_of(file)[lazy]
    }


LIBRARY = sorted((ROOT / "jaxnet").rglob("*.py"))
RUNS = [file for file in LIBRARY if file.is_relative_to(ROOT / "jaxnet" / "runs")]
ESTIMATORS = [file for file in LIBRARY if file.is_relative_to(ROOT / "jaxnet" / "estimators")]
CORE_FILES = [
    file
    for file in LIBRARY
    if file not in (*RUNS, *ESTIMATORS) and file.relative_to(ROOT).as_posix() not in OPTIONAL
]
CORE = modules(PROJECT["dependencies"])


def test_imports_are_found():
    code = """
import os, numpy.linalg
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import matplotlib
if os.name == "nt":
    import scipy
def lazy():
    import rich.console
    importlib.import_module("faiss")
"""
    tree = ast.parse(code)
    assert third_party(tree, lazy=False) == {"numpy", "scipy"}
    assert third_party(tree, lazy=True) == {"rich", "faiss"}
    assert {"jax", "numpy", "optax"} <= CORE
    assert {"sklearn", "rich"} <= modules(EXTRAS["experiments"])


def test_the_core_imports_its_requirements_only():
    undeclared = {use for use in imports(CORE_FILES) if use[0] not in CORE}
    assert not undeclared


def test_the_core_requires_what_it_imports_only():
    # jaxlib holds the kernels of jax, and is declared because of its versions.
    unused = CORE - {module for module, _ in imports(CORE_FILES)} - {"jaxlib"}
    assert not unused


def test_runs_import_their_extra_only():
    allowed = CORE | modules(EXTRAS["runs"])
    undeclared = {use for use in imports(RUNS) if use[0] not in allowed}
    assert not undeclared
    used = {module for module, _ in imports(RUNS) | imports(RUNS, lazy=True)}
    assert not modules(EXTRAS["runs"]) - used


def test_estimators_import_their_extra_only():
    allowed = CORE | modules(EXTRAS["sklearn"])
    assert not {use for use in imports(ESTIMATORS) if use[0] not in allowed}
    elsewhere = imports([file for file in LIBRARY if file not in ESTIMATORS], lazy=True)
    assert "sklearn" not in {module for module, _ in elsewhere}


def test_optional_imports_are_declared_by_an_extra():
    declared = set().union(*(modules(requirements) for requirements in EXTRAS.values()))
    undeclared = {use for use in imports(LIBRARY, lazy=True) if use[0] not in CORE | declared}
    assert not undeclared
    for path, extra in OPTIONAL.items():
        used = {module for module, _ in imports([ROOT / path])}
        assert used <= CORE | modules(EXTRAS[extra])


@pytest.mark.parametrize("lazy", [False, True])
def test_experiments_import_their_extras_only(lazy):
    files = sorted((ROOT / "experiments").rglob("*.py"))
    extras = ["experiments"] + ["tensorboard", "umap", "faiss", "flax", "streams"] * lazy
    allowed = CORE.union(PEERS if lazy else (), *(modules(EXTRAS[extra]) for extra in extras))
    undeclared = {use for use in imports(files, lazy=lazy) if use[0] not in allowed}
    assert not undeclared


def test_the_extra_of_the_tests_has_all_that_they_import():
    allowed = CORE | modules(EXTRAS["test"]) | {"tests"}
    files = sorted((ROOT / "tests").rglob("*.py"))
    undeclared = {
        use for lazy in (False, True) for use in imports(files, lazy=lazy) if use[0] not in allowed
    }
    assert not undeclared

"""Rules that all of the source obeys: which module may import which, sizes, and documentation."""

import ast
import graphlib
import importlib
import inspect
import itertools
import pkgutil
import re
from pathlib import Path

import pytest

import jaxnet as jn

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("jaxnet", "experiments", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}

# From the lowest to the highest. Modules of one layer may import each other, without a cycle.
LAYERS = (
    ("typing", "_checks", "_compiled", "_data", "_draws", "_files", "_global_arrays"),
    ("hosts",),
    ("nn", "audio"),
    ("objectives",),
    ("optim",),
    ("metrics",),
    ("neighbors",),
    ("training",),
    (
        "autoencoders",
        "boltzmann",
        "calibration",
        "clustering",
        "anomaly",
        "streams",
        "recommendation",
    ),
    ("checkpoint",),
    ("doctor",),
    ("search",),
    ("runs", "estimators"),
)
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# Arrays are saved whatever made them.
NEVER = {("checkpoint", name) for name in ("training", "autoencoders", "boltzmann", "clustering")}

MAX_LINES = 349
MAX_PARAMETERS = 8


def resolve(module: str, name: str) -> str:
    """The module that `from module import name` needs: a submodule, or the module itself."""
    submodule = f"{module}.{name}"
    return submodule if submodule in SOURCES else module


def imported(tree: ast.AST) -> set[str]:
    """Modules of the project that a source imports, inside of functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.update(resolve(node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names.update(str(a.value) for a in node.args if isinstance(a, ast.Constant))
    return {name for name in names if name.split(".")[0] in ("jaxnet", "experiments", "benchmarks")}


IMPORTS = {name: imported(tree) - {name} for name, tree in TREES.items()}


def part(module: str) -> str:
    """The second component, such as `training` in `jaxnet.training.driver`."""
    return module.split(".")[1] if "." in module else ""


def test_every_module_has_a_layer():
    parts = {part(name) for name in SOURCES if name.startswith("jaxnet.")}
    assert parts <= set(RANKS), "add the new package to LAYERS"


def is_allowed(module: str, name: str) -> bool:
    """Whether a module of the library may import a module of the project."""
    if name == "jaxnet" or name.startswith(("experiments", "benchmarks")):
        return False
    pair = part(module), part(name)
    return module == "jaxnet" or (RANKS[pair[1]] <= RANKS[pair[0]] and pair not in NEVER)


def test_no_layer_imports_a_higher_one():
    library = {module: names for module, names in IMPORTS.items() if module.startswith("jaxnet")}
    assert not [
        f"{module} imports {name}"
        for module, names in library.items()
        for name in sorted(names)
        if not is_allowed(module, name)
    ]


def test_no_modules_import_each_other():
    # Raises CycleError, which names the modules.
    graphlib.TopologicalSorter(IMPORTS).prepare()


def test_no_packages_of_the_library_import_each_other():
    graph: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        if module.startswith("jaxnet."):
            others = {part(name) for name in names if name.startswith("jaxnet.")}
            graph.setdefault(part(module), set()).update(others - {part(module)})
    graphlib.TopologicalSorter(graph).prepare()


def test_experiments_use_what_the_library_has():
    unknown = {name for names in IMPORTS.values() for name in names} - set(SOURCES)
    assert not unknown, "imported, but not a module of the project"


@pytest.mark.parametrize("module", SOURCES)
def test_sources_use_public_interfaces_and_run_no_data_as_code(module):
    text = SOURCES[module].read_text(encoding="utf-8")
    words = ["jax." + "_src", "jax." + "interpreters", "import pick" + "le", "extract" + "all"]
    assert not [word for word in words if word in text]
    called = {
        node.func.id
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec"}
    assert ast.get_docstring(TREES[module]), "a module says what it is"


def test_sources_are_short():
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in SOURCES.items()
    }
    assert not {name: length for name, length in lengths.items() if length > MAX_LINES}


def public_functions(tree: ast.AST, prefix: str):
    """Functions of a module and methods of its classes whose names have no underscore in front."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name.startswith("_") and node.name not in ("__init__", "__call__"):
                continue
            if isinstance(node, ast.ClassDef):
                yield from public_functions(node, f"{prefix}.{node.name}")
            else:
                yield f"{prefix}.{node.name}", node


def num_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    variadic = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return len([name for name in names if name not in ("self", "cls")]) + len(variadic)


def test_public_functions_have_few_parameters():
    counts = {
        name: num_parameters(function)
        for module, tree in TREES.items()
        for name, function in public_functions(tree, module)
    }
    assert not {name: count for name, count in counts.items() if count > MAX_PARAMETERS}


def namespaces() -> list[str]:
    """All packages of the library and the plain modules that `jaxnet` exports as namespaces."""
    packages = [
        module.name
        for module in pkgutil.walk_packages([str(ROOT / "jaxnet")], "jaxnet.")
        if module.ispkg
    ]
    modules = [f"jaxnet.{name}" for name in dir(jn) if f"jaxnet.{name}" in SOURCES]
    public = [name for name in (*packages, *modules) if not part(name).startswith("_")]
    return sorted({"jaxnet", "jaxnet.nn.flax", *public})


NAMESPACES = namespaces()


def exported(namespace: str) -> list[str]:
    """`__all__`, or without one the functions and classes that the module defines."""
    module = importlib.import_module(namespace)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", None) == namespace
        and (inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value)))
    ]


def section(documentation: str, title: str) -> list[str] | None:
    """Names that a section of a docstring lists, such as those of the arguments, or None."""
    found = re.search(rf"^{title}:\n((?:    .*\n|\n)*)", documentation + "\n", re.MULTILINE)
    if found is None:
        return None
    heads = re.findall(r"^    (\*{0,2}\w+(?:, \w+)*)(?: \([^)]*\))?:", found[1], re.MULTILINE)
    return [name.lstrip("*") for head in heads for name in head.split(", ")]


def faults_of_function(function) -> list[str]:
    documentation = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    parameters = [name for name in signature.parameters if name not in ("self", "cls")]
    faults = []
    if not documentation:
        return ["has no docstring"]
    if function.__name__ == "main":  # a command, which `--help` documents
        return []
    if ">>>" not in documentation:
        faults.append("has no doctest")
    arguments = section(documentation, "Args") or []
    if sorted(arguments) != sorted(parameters):
        faults.append(f"documents the arguments {arguments}, has {parameters}")
    returns = signature.return_annotation
    if returns not in (None, "None", inspect.Signature.empty) and not re.search(
        r"^(Returns|Yields):$", documentation, re.MULTILINE
    ):
        faults.append("does not say what it returns")
    return faults


def faults_of_class(cls: type) -> list[str]:
    documentation = inspect.getdoc(cls) or ""
    if not documentation or documentation.startswith(f"{cls.__name__}("):
        return ["has no docstring"]
    attributes = [
        attribute
        for ancestor in inspect.getmro(cls)
        for attribute in section(inspect.cleandoc(ancestor.__doc__ or ""), "Attributes") or []
    ]
    faults = [
        f"{name} has no docstring"
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and name not in attributes
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod)))
        and not inspect.getdoc(value)
    ]
    fields = getattr(cls, "_fields", None) or tuple(getattr(cls, "__dataclass_fields__", ()))
    fields = [name for name in fields if not name.startswith("_")]
    if not set(fields) <= set(attributes):
        faults.append(f"documents the attributes {attributes}, has {fields}")
    return faults


def documented_assignments(tree: ast.Module) -> set[str]:
    """Constants and aliases that are followed by a string, which says what they are."""
    return {
        target.id
        for assignment, following in itertools.pairwise(tree.body)
        if isinstance(assignment, (ast.Assign, ast.AnnAssign))
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
        and isinstance(following.value.value, str)
        for target in ast.walk(assignment)
        if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
    }


DOCUMENTED = set().union(*map(documented_assignments, TREES.values()))


def faults(name: str, value: object) -> list[str]:
    if inspect.isclass(value):
        return faults_of_class(value)
    if callable(value) and inspect.isfunction(inspect.unwrap(value)):
        return faults_of_function(value)
    if inspect.ismodule(value):
        return [] if inspect.getdoc(value) else ["has no docstring"]
    return [] if name in DOCUMENTED else ["is not followed by a string that says what it is"]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_public_names_are_sorted_and_documented(namespace):
    module = importlib.import_module(namespace)
    assert inspect.getdoc(module)
    names = exported(namespace)
    if hasattr(module, "__all__"):
        assert names == sorted(set(names))
    wrong = {f"{namespace}.{name}": faults(name, getattr(module, name)) for name in names}
    assert not {name: text for name, text in wrong.items() if text}

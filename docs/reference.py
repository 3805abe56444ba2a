"""Pages of the site that follow from the code: the API reference and the pages of development.

`write_pages` writes them into `api/` and `development/` of the English sources whenever the site
is built.
"""

import ast
import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import re
from pathlib import Path

import docstrings

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT = (
    "CONTRIBUTING.md",
    "docs/README.md",
    "docs/design.md",
    "docs/platform.md",
    "docs/results.md",
    "docs/optimizers.md",
    "docs/anomaly.md",
    "CHANGELOG.md",
)


def namespaces() -> list[str]:
    """Public packages of jaxnet and the modules that are its namespaces, the top level first."""
    package = importlib.import_module("jaxnet")
    modules = list(pkgutil.walk_packages(package.__path__, "jaxnet."))
    lazy = {f"jaxnet.{name}" for name in dir(package)} | {"jaxnet.nn.flax"}
    names = {module.name for module in modules if module.ispkg or module.name in lazy}
    public = sorted(name for name in names if "._" not in name)
    return ["jaxnet", *(name for name in public if exported(name))]


def exported(namespace: str) -> list[str]:
    """`__all__` of a namespace, or the public names that its source defines."""
    module = importlib.import_module(namespace)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    names = set()
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return sorted(name for name in names if not name.startswith("_") and name != "main")


def is_documented_by_itself(value: object) -> bool:
    return inspect.isclass(value) or inspect.isroutine(inspect.unwrap(value))


def homes() -> dict[str, str]:
    """Where each public name, such as `jaxnet.dense`, is documented: `jaxnet.nn.dense`.

    An object that several namespaces export is documented in the lowest of them which is not
    `jaxnet` itself.
    """
    found: dict[int, str] = {}
    result: dict[str, str] = {}
    order = sorted(namespaces(), key=lambda name: (name == "jaxnet", name.count("."), name))
    for namespace in order:
        module = importlib.import_module(namespace)
        for name in exported(namespace):
            value = getattr(module, name)
            full = f"{namespace}.{name}"
            result[full] = found.setdefault(id(value), full)
    return result


def source_of_data(name: str) -> str:
    """The string that follows the assignment of a constant or an alias, wherever it is."""
    for path in sorted((ROOT / "jaxnet").rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, following in itertools.pairwise(body):
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            if is_text and any(getattr(target, "id", None) == name for target in targets):
                return inspect.cleandoc(str(following.value.value))
    return ""


def first_line(documentation: str | None) -> str:
    return (documentation or "").strip().partition("\n\n")[0].replace("\n", " ")


def page_of(namespace: str, home: dict[str, str]) -> str:
    """The page of a namespace, in reStructuredText: a table of its names, then each of them."""
    module = importlib.import_module(namespace)
    names = exported(namespace)
    lines = [namespace, "=" * len(namespace), "", f".. automodule:: {namespace}", ""]
    lines += [".. list-table::", "   :widths: 30 70", "   :class: names", ""]
    for name in names:
        value = getattr(module, name)
        isolated = is_documented_by_itself(value)
        text = inspect.getdoc(value) if isolated else source_of_data(name)
        lines.append(f"   * - :py:obj:`{name} <{home[f'{namespace}.{name}']}>`")
        lines.append(f"     - {docstrings.inline(first_line(text))}")
    lines.append("")
    for name in names:
        full = f"{namespace}.{name}"
        value = getattr(module, name)
        if home[full] != full:
            continue
        if inspect.isclass(value):
            lines += [f".. autoclass:: {full}", "   :members:", ""]
        elif is_documented_by_itself(value):
            lines += [f".. autofunction:: {full}", ""]
        else:
            text = docstrings.converted(source_of_data(name).splitlines())
            lines += [f".. py:data:: {full}", "", *(f"   {line}" for line in text), ""]
    return "\n".join(lines).rstrip() + "\n"


def reference_pages() -> dict[str, str]:
    """The pages of the API reference by their file names."""
    home = homes()
    pages = {f"{name}.rst": page_of(name, home) for name in namespaces()}
    toctree = "\n".join(f"   {name}" for name in namespaces())
    title = "API reference"
    pages["index.rst"] = (
        f"{title}\n{'=' * len(title)}\n\n"
        "Every public name. Shapes are written as jaxtyping writes them:\n"
        '``Float[Array, "*batch dim"]`` is an array of floating-point numbers with any leading\n'
        "axes and one axis of the length ``dim``; axes of the same name have the same length.\n\n"
        f".. toctree::\n   :maxdepth: 1\n\n{toctree}\n"
    )
    return pages


def development_pages() -> dict[str, str]:
    """The documents of the repository, with links among them turned to the pages of the site."""
    names = {path: Path(path).name.replace("README", "site").lower() for path in DEVELOPMENT}
    pages = {}
    for path, name in names.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        for other, page in names.items():
            relative = other.removeprefix("docs/") if path.startswith("docs/") else other
            text = text.replace(f"]({relative})", f"]({page})")
        pages[name] = re.sub(r"\]\((?=\w+\.png\))", "](../../", text)
    toctree = "\n".join(name.removesuffix(".md") for name in pages)
    pages["index.md"] = (
        "# Development\n\nHow jaxnet is built, what has been measured, and how to contribute.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"
    )
    return pages


def write_pages(sources: Path) -> None:
    """Write all pages below `sources`, and leave those that have not changed."""
    for folder, pages in (("api", reference_pages()), ("development", development_pages())):
        (sources / folder).mkdir(exist_ok=True)
        for old in (sources / folder).iterdir():
            if old.name not in pages:
                old.unlink()
        for name, text in pages.items():
            path = sources / folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")


def skip_member(app, what, name, obj, skip, options):
    """Leave fields out that the section `Attributes` of a docstring lists."""
    is_field = type(obj).__name__ in ("_tuplegetter", "member_descriptor")
    return True if is_field or name in ("_asdict", "_replace") else None

"""Signatures as the source writes them: `Float[Array, "*batch dim"]`, `Objective`, `ArrayLike`."""

import ast
import inspect
import textwrap

import reference


def process_signature(app, what, name, obj, options, signature, returns):
    """The arguments and the result in the words of the source, instead of what they evaluate to."""
    if inspect.isclass(obj):
        return signature_of_class(obj) or (signature, returns)
    function = inspect.unwrap(obj) if callable(obj) else obj
    if not inspect.isfunction(function):
        return signature, returns
    (node,) = definition(function)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return signature, returns
    is_bound = what == "method" and not any(
        ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list
    )
    return arguments(node, skip_first=is_bound), ast.unparse(node.returns) if node.returns else None


def definition(obj) -> list[ast.stmt]:
    """The syntax tree of a function or a class."""
    return ast.parse(textwrap.dedent(inspect.getsource(obj))).body


def arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, *, skip_first: bool) -> str:
    parameters = node.args
    if skip_first:
        (parameters.posonlyargs or parameters.args).pop(0)
    return f"({ast.unparse(parameters)})"


def signature_of_class(cls: type) -> tuple[str, None] | None:
    """Fields of a NamedTuple or a dataclass with their types; None where `__init__` is written."""
    (node,) = definition(cls)
    is_record = hasattr(cls, "_fields") or "__dataclass_fields__" in vars(cls)
    if not is_record or not isinstance(node, ast.ClassDef) or "__init__" in written(node):
        return None
    fields = [
        (ast.unparse(field.target), ast.unparse(field.annotation), field.value)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field.annotation)
    ]
    texts = [
        f"{name}: {kind}" + (f" = {ast.unparse(value)}" if value is not None else "")
        for name, kind, value in fields
        if not name.startswith("_")
    ]
    return f"({', '.join(texts)})", None


def written(node: ast.ClassDef) -> set[str]:
    return {item.name for item in node.body if isinstance(item, ast.FunctionDef)}


def resolve_short_name(app, env, node, contnode):
    """Link a name of jaxnet in a signature, such as `Network`, to where it is documented."""
    target = node.get("reftarget", "").rpartition(".")[2]
    if node.get("refdomain") != "py" or not reference.is_signature_target(node["reftarget"]):
        return None
    homes = {home for home in reference.homes().values() if home.rpartition(".")[2] == target}
    if len(homes) != 1:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node.get("refdoc", ""), app.builder, "obj", homes.pop(), node, contnode
    )

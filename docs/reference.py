"""Pages of the site that follow from the code: the API reference and the pages of development.

`write_pages` writes them into `api/` and `development/` of the sources whenever the site is built.
"""

import ast
import functools
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

KOREAN = {
    "jaxnet": "가장 자주 쓰는 이름",
    "jaxnet.anomaly": "시계열과 로그의 이상 탐지",
    "jaxnet.audio": "녹음의 특징",
    "jaxnet.autoencoders": "오토인코더와 변분 오토인코더",
    "jaxnet.boltzmann": "제한 볼츠만 머신과 심층 신뢰 신경망",
    "jaxnet.calibration": "확률 보정, 예측 집합과 구간",
    "jaxnet.checkpoint": "체크포인트",
    "jaxnet.clustering": "k-평균, 가우스 혼합, 심층 군집화",
    "jaxnet.doctor": "JAX 설치 점검",
    "jaxnet.estimators": "scikit-learn 추정기",
    "jaxnet.hosts": "여러 프로세스",
    "jaxnet.metrics": "분류, 회귀, 군집, 이상 탐지의 평가 지표",
    "jaxnet.neighbors": "최근접 이웃",
    "jaxnet.nn": "신경망의 부품: 층, 합성곱, 순환, 어텐션, 초기값",
    "jaxnet.nn.flax": "Flax 모듈을 신경망으로 쓰기",
    "jaxnet.objectives": "목적 함수와 벌점, 변환",
    "jaxnet.optim": "이름으로 찾는 옵티마이저와 학습률 스케줄",
    "jaxnet.recommendation": "추천: 행렬 분해, 오토인코더, EASE",
    "jaxnet.runs": "재개하고 재현할 수 있는 실행",
    "jaxnet.search": "설정 탐색",
    "jaxnet.streams": "메모리보다 큰 데이터",
    "jaxnet.training": "학습: 상태, 학습기, 배치, 조기 종료, 여러 장치",
    "jaxnet.typing": "시그니처에 나오는 타입",
}
"""What is in each namespace, in Korean; where a line is missing, the English one stands."""


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


@functools.cache
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


def is_signature_target(target: str) -> bool:
    """Whether a reference is a bare name, or a name in a module which is not a namespace."""
    namespace = target.rpartition(".")[0]
    return not namespace or (target.startswith("jaxnet.") and target not in homes())


@functools.cache
def sources_of_data() -> dict[str, str]:
    """Name of a constant or an alias -> the string that follows its assignment, wherever it is."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "jaxnet").rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, following in itertools.pairwise(body):
            is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            if not is_text:
                continue
            text = inspect.cleandoc(str(following.value.value))
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, text)
    return found


def source_of_data(name: str) -> str:
    """The string of `sources_of_data`, or none."""
    return sources_of_data().get(name, "")


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


def korean_pages() -> dict[str, str]:
    """One page that leads to the English reference."""
    lines = []
    for name in namespaces():
        english = first_line(inspect.getdoc(importlib.import_module(name)))
        lines.append(f"| {{mod}}`{name}` | {KOREAN.get(name, english)} |")
    text = (
        "# API 레퍼런스\n\n레퍼런스는 영어로 제공됩니다. 아래 링크는 영어 페이지로 이어집니다.\n\n"
        "| 모듈 | 내용 |\n|---|---|\n"
    )
    return {"index.md": text + "\n".join(lines) + "\n"}


def write_pages(sources: Path, language: str) -> None:
    """Write all pages below `sources`, and leave those that have not changed."""
    folders = {"api": korean_pages()}
    if language == "en":
        folders = {"api": reference_pages(), "development": development_pages()}
    for folder, pages in folders.items():
        (sources / folder).mkdir(exist_ok=True)
        for old in (sources / folder).iterdir():
            if old.name not in pages:
                old.unlink()
        for name, text in pages.items():
            path = sources / folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")


def skip_member(app, what, name, obj, skip, options):
    """Leave out fields that the section `Attributes` lists, and methods that scikit-learn adds."""
    is_field = type(obj).__name__ in ("_tuplegetter", "member_descriptor")
    is_added = (getattr(obj, "__module__", None) or "").startswith("sklearn.")
    return True if is_field or is_added or name in ("_asdict", "_replace") else None

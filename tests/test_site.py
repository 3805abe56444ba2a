"""The sources of the documentation site: both languages, figures, links and the reference."""

import importlib
import json
import math
import re
import sys
from pathlib import Path

import pytest

import jaxnet as jn

DOCS = Path(__file__).resolve().parents[1] / "docs"
GENERATED = ("api", "development")
CELL = re.compile(r"^```\{code-cell\}.*?^```$", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r"\{(?:func|class|mod|data|meth|obj)\}`(?:[^`<]*<)?[~!]?(jaxnet[\w.]*)>?`")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def site():
    """The modules that build the site, by their names."""
    sys.path.insert(0, str(DOCS))
    try:
        names = ("build", "digests", "docstrings", "gallery", "reference", "signatures")
        return {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(DOCS))


def pages(language: str) -> dict[str, str]:
    folder = DOCS / language
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.md"))
        if path.relative_to(folder).parts[0] not in GENERATED
    }


ENGLISH, KOREAN = pages("en"), pages("ko")
CHAPTERS = [name for name in ENGLISH if re.match(r"chapters/\d", name)]


def test_both_languages_have_the_same_pages():
    assert list(ENGLISH) == list(KOREAN)
    assert len(CHAPTERS) >= 5


@pytest.mark.parametrize("page", ENGLISH)
def test_both_languages_run_the_same_code(page):
    assert CELL.findall(ENGLISH[page]) == CELL.findall(KOREAN[page])
    assert ENGLISH[page].count("{code-cell}") == len(CELL.findall(ENGLISH[page]))
    if CELL.search(ENGLISH[page]):
        head = "---\nfile_format: mystnb\nkernelspec:\n"
        assert ENGLISH[page].startswith(head) and KOREAN[page].startswith(head)


@pytest.mark.parametrize("page", KOREAN)
def test_korean_pages_are_in_korean(page):
    prose = re.sub(r"```.*?```", "", KOREAN[page], flags=re.DOTALL)
    assert len(re.findall(r"[가-힣]", prose)) > len(prose) / 10
    assert not re.search(r"[가-힣]", "".join(CELL.findall(ENGLISH[page])))


def test_chapters_need_no_files_and_no_network():
    code = {page: "\n".join(CELL.findall(text)) for page, text in ENGLISH.items()}
    words = ("JAXNET_DATA", "experiments.", "fetch_", "http://", "https://", "open(")
    assert not [(page, word) for page, text in code.items() for word in words if word in text]


def test_every_chapter_with_figures_has_a_digest(site):
    chapters = site["build"].chapters()
    assert {f"chapters/{name}.md" for name in chapters} <= set(CHAPTERS)
    assert sorted(path.stem for path in (DOCS / "digests").glob("*.json")) == chapters
    for chapter in chapters:
        code = CELL.findall(ENGLISH[f"chapters/{chapter}.md"])[-1]
        assert ":tags: [remove-cell]" in code
        assert re.search(rf'^record\(\s*"{chapter}"', code, re.MULTILINE)
        digest = json.loads((DOCS / "digests" / f"{chapter}.json").read_text(encoding="utf-8"))
        assert digest
        for figure in digest.values():
            assert math.isfinite(figure["value"]) and 0 <= figure["tolerance"] < math.inf


def test_figures_are_compared_with_the_digest(site, tmp_path, monkeypatch):
    digests = site["digests"]
    monkeypatch.setattr(digests, "STORED", tmp_path)
    monkeypatch.setenv("JAXNET_DOCS_FIGURES", str(tmp_path / "figures"))
    digests.record("a", {"loss": 0.25, "count": 3})
    figures = digests.read(tmp_path / "figures" / "a.json")
    assert len(digests.differences("a", figures)) == 2  # nothing is stored
    digests.write("a", figures)
    assert digests.differences("a", figures) == []
    assert digests.differences("a", {"loss": 0.26, "count": 3}) == []
    (line,) = digests.differences("a", {"loss": 0.27, "count": 3})
    assert line == "a: loss is 0.27, not 0.25 ± 0.0125"
    assert len(digests.differences("a", {"loss": math.nan, "count": 3})) == 1
    assert len(digests.differences("a", {"loss": 0.25})) == 1
    stored = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    stored["count"]["tolerance"] = 0.0
    (tmp_path / "a.json").write_text(json.dumps(stored), encoding="utf-8")
    digests.write("a", {"loss": 0.5, "count": 4})
    assert digests.differences("a", {"loss": 0.5, "count": 4}) == []
    assert len(digests.differences("a", {"loss": 0.5, "count": 4.001})) == 1
    with pytest.raises(ValueError, match="must be finite"):
        digests.write("a", {"loss": math.inf})


@pytest.mark.parametrize("language", ["en", "ko"])
def test_links_lead_to_pages_and_names(site, language):
    home = site["reference"].homes()
    namespaces = site["reference"].namespaces()
    for page, text in pages(language).items():
        for target in LINK.findall(CELL.sub("", text)):
            relative = (DOCS / language / page).parent / target
            is_made = relative.parent.name in GENERATED or "runs/" in target
            assert relative.exists() or is_made, (page, target)
        for name in ROLE.findall(text):
            parent = name.rpartition(".")[0]
            documented = home.get(name) == name or name in namespaces or home.get(parent) == parent
            assert documented, f"{page}: {name} is documented as {home.get(name)}"


def test_the_reference_has_every_public_name(site):
    written, homes = site["reference"].reference_pages(), site["reference"].homes()
    text = "\n".join(written.values())
    directives = set(re.findall(r"^\.\. (?:auto(?:class|function)|py:data):: (\S+)", text, re.M))
    for path in sorted((DOCS.parent / "jaxnet").rglob("__init__.py")):
        namespace = ".".join(path.parent.relative_to(DOCS.parent).parts)
        module = importlib.import_module(namespace)
        for name in getattr(module, "__all__", ()):
            if "._" in namespace or namespace == "jaxnet.hosts.processes":
                continue
            assert f":py:obj:`{name} <" in written[f"{namespace}.rst"], f"{namespace}.{name}"
            home = homes[f"{namespace}.{name}"]
            assert home in directives
            holder, _, attribute = home.rpartition(".")
            assert getattr(importlib.import_module(holder), attribute) is getattr(module, name)
    assert {"jaxnet.neighbors.rst", "jaxnet.typing.rst", "jaxnet.nn.flax.rst"} <= set(written)


def test_the_gallery_shows_the_runs_of_the_build(site):
    gallery = site["gallery"]
    for name in gallery.RUNS:
        for text in (ENGLISH[f"gallery/{name}.md"], KOREAN[f"gallery/{name}.md"]):
            assert f"```sh\n{gallery.command(name)}\n```" in text
            assert f"runs/{name}/output.txt" in text and f"runs/{name}/report.html" in text
        figures = [
            re.findall(r"runs/\w+/\w+\.png", p[f"gallery/{name}.md"]) for p in (ENGLISH, KOREAN)
        ]
        assert figures[0] == figures[1] and figures[0]
    printed = "epoch 1/2  0:01 left\nClassification\n  accuracy 0.9\n\nreport: /a/b\n"
    assert gallery.printed(printed) == "Classification\n  accuracy 0.9\n"


def test_the_korean_page_of_the_reference_names_every_namespace(site):
    text = site["reference"].korean_pages()["index.md"]
    assert re.findall(r"\{mod\}`([\w.]+)`", text) == site["reference"].namespaces()


def test_signatures_are_those_of_the_source(site):
    write = site["signatures"].process_signature
    signature, returns = write(None, "function", "", jn.metrics.accuracy, None, "", None)
    assert "Array, '" in signature and "jaxtyping" not in signature and returns
    signature, returns = write(None, "function", "", jn.nn.dense, None, "", None)
    assert signature.startswith("(in_dim: int, out_dim: int, *, kernel_init: Initializer")
    assert returns == "Network"
    signature, _ = write(None, "class", "", jn.TrainState, None, "", None)
    assert [part.split(":")[0] for part in signature[1:-1].split(", ")][:2] == ["params", "extra"]


def test_docstrings_become_restructuredtext(site):
    converted = site["docstrings"].converted
    assert converted(["Two `State`s of `(*batch, dim)`, (*batch).", "", ">>> f(*x, `y`)"]) == [
        "Two ``State``\\ s of ``(*batch, dim)``, (\\*batch).", "", ">>> f(*x, `y`)"
    ]  # fmt: skip
    table = converted(["| a | b |", "|---|---|", "| `c` | d |"])
    assert [line for line in table if line.strip()] == [
        ".. list-table::", "   :header-rows: 1", "   * - a", "     - b", "   * - ``c``", "     - d"
    ]  # fmt: skip

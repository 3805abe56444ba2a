"""Build the documentation site in both languages: `python docs/build.py`.

Warnings are errors. Each chapter runs once, and its figures are compared with `docs/digests/`. The
pages are `docs/_build/html/en/index.html` and `docs/_build/html/ko/index.html`.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import digests
import gallery

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LANGUAGES = ("en", "ko")
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>jaxnet</title>
<script>
  location.replace(navigator.language.startsWith("ko") ? "ko/index.html" : "en/index.html");
</script>
<p><a href="en/index.html">English</a> <a href="ko/index.html">한국어</a></p>
"""


OUTDATED = {
    "jaxnet": ("jupyter-cache", "doctrees", "figures", "gallery"),
    "experiments": ("gallery",),
}
"""What a change of a source folder makes outdated in the build directory."""


def source_hash(folder: str) -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / folder).rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def remove_outdated(build: Path) -> None:
    """Remove what was computed with another version of the library or of the experiments."""
    for source, folders in OUTDATED.items():
        stamp, current = build / f"{source}.sha256", source_hash(source)
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != current:
            for folder in folders:
                shutil.rmtree(build / folder, ignore_errors=True)
            stamp.write_text(current, encoding="utf-8")


def environment(build: Path) -> dict[str, str]:
    """Variables of the chapters: where modules, styles and figures are."""
    path = os.pathsep.join((str(ROOT), str(DOCS), os.environ.get("PYTHONPATH", "")))
    unset = ("JAX_COMPILATION_CACHE_DIR", "JAXNET_DATA")
    return {name: value for name, value in os.environ.items() if name not in unset} | {
        "PYTHONPATH": path.rstrip(os.pathsep),
        "MATPLOTLIBRC": str(DOCS / "matplotlibrc"),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",  # XLA says on stderr when it compiles slowly
        "JAXNET_DOCS_BUILD": str(build),
        "JAXNET_DOCS_FIGURES": str(build / "figures"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def build_language(language: str, build: Path, environ: dict[str, str]) -> int:
    """Build the pages of one language and return the exit status of Sphinx."""
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    folders = ["-c", str(DOCS), "-d", str(build / "doctrees" / language), "-t", language]
    return subprocess.run(
        [*sphinx, *folders, str(DOCS / language), str(build / "html" / language)],
        env=environ,
        check=False,
    ).returncode


def chapters() -> list[str]:
    """Names of the chapters that record figures."""
    pages = sorted((DOCS / "en" / "chapters").glob("*.md"))
    return [page.stem for page in pages if "import record" in page.read_text(encoding="utf-8")]


def compare_figures(build: Path, *, write: bool) -> list[str]:
    """Compare the figures of all chapters with what is stored, or store them."""
    lines = []
    for chapter in chapters():
        path = build / "figures" / f"{chapter}.json"
        if not path.is_file():
            lines.append(f"{chapter}: no figures; its last cell must call record({chapter!r}, ...)")
            continue
        figures = digests.read(path)
        if write:
            digests.write(chapter, figures)
        lines += digests.differences(chapter, figures)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--language", choices=LANGUAGES, action="append", help="only this one")
    parser.add_argument("--out", type=Path, default=DOCS / "_build", help="the build directory")
    parser.add_argument(
        "--write-digests", action="store_true", help="store the figures of the chapters"
    )
    options = parser.parse_args()
    build = options.out.resolve()
    build.mkdir(parents=True, exist_ok=True)
    remove_outdated(build)
    environ = environment(build)
    start = time.perf_counter()
    failed = gallery.run_experiments(build / "gallery", environ)
    gallery.copy_reports(build / "gallery")
    print(f"gallery: {time.perf_counter() - start:.0f} s", flush=True)
    for language in options.language or LANGUAGES:
        start = time.perf_counter()
        if build_language(language, build, environ):
            failed.append(f"the pages in {language!r} were built with warnings or errors")
        print(f"{language}: {time.perf_counter() - start:.0f} s", flush=True)
    (build / "html").mkdir(exist_ok=True)
    (build / "html" / "index.html").write_text(PAGE, encoding="utf-8")
    failed += compare_figures(build, write=options.write_digests)
    for line in failed:
        print(f"docs: {line}", file=sys.stderr)
    print(f"docs: {build / 'html' / 'index.html'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What importing jaxnet costs and touches, and rules that all of its files obey."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxnet as jn

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "jaxnet").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])


def python(code, **environment):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | environment,
    )


def test_import_is_light():
    code = """
import jax, optax, sys, time
start = time.process_time()
import jaxnet
print(time.process_time() - start)
heavy = {"flax", "orbax", "matplotlib", "sklearn", "experiments"} & set(sys.modules)
assert not heavy, heavy
"""
    seconds = []
    for _ in range(3):
        done = python(code)
        assert done.returncode == 0, done.stderr
        seconds.append(float(done.stdout))
    assert min(seconds) <= 0.3


def test_import_starts_no_backend():
    # A platform that does not exist is an error as soon as a backend is asked for, not before.
    done = python("import jaxnet; print('imported'); import jax; jax.devices()", JAX_PLATFORMS="no")
    assert done.stdout == "imported\n"
    assert "Unknown backend" in done.stderr or "'no'" in done.stderr


def test_the_other_distribution_is_named(tmp_path):
    folder = tmp_path / "jaxnet-0.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: jaxnet\nVersion: 0.2\n")
    done = python("import jaxnet", PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert done.returncode == 1
    assert "ImportError: the distribution 'jaxnet', another project, is installed" in done.stderr
    assert "pip uninstall -y jaxnet functional-jaxnet" in done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sources_obey_the_rules(path):
    text = path.read_text(encoding="utf-8")
    private = ["jax." + "_src", "jax." + "interpreters", "import pick" + "le", "extract" + "all"]
    assert not [word for word in private if word in text]
    tree = ast.parse(text)
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec"}
    assert ast.get_docstring(tree), "a module says what it is"
    if "jaxnet" in path.relative_to(ROOT).parts:
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert "experiments" not in imported


def test_public_names_are_sorted_and_documented():
    assert list(jn.__all__) == sorted(jn.__all__)
    for name in jn.__all__:
        thing = getattr(jn, name)
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            assert ">>>" in inspect.getdoc(thing), f"{name} has no example"


def test_the_example_of_the_readme_runs():
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )
    done = python(blocks[0])
    assert done.returncode == 0, done.stderr
    accuracies = [float(number) for number in re.findall(r"[\d.]+", done.stdout)]
    assert len(accuracies) == 8
    assert min(accuracies) > 0.95

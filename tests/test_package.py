"""What importing jaxnet imports and starts, and what it exports."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import jaxnet as jn

ROOT = Path(__file__).resolve().parent.parent
NAMESPACES = (
    "autoencoders",
    "boltzmann",
    "checkpoint",
    "clustering",
    "doctor",
    "estimators",
    "hosts",
    "metrics",
    "neighbors",
    "nn",
    "objectives",
    "optim",
    "runs",
    "training",
    "typing",
)


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
import jax, optax, sys
before = set(sys.modules)
import jaxnet
print(*(set(sys.modules) - before))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    packages = {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert packages <= {"jaxnet", "jaxtyping", "numpy", "wadler_lindig"}
    # What a training needs, and nothing that is imported when it is first used.
    lazy = [f"jaxnet.{name}" for name in ("autoencoders", "boltzmann", "clustering", "metrics")]
    assert not [name for name in modules if name.startswith((*lazy, "jaxnet.checkpoint"))]
    assert len([name for name in modules if name.startswith("jaxnet")]) <= 90
    assert len(modules) <= 120


def test_namespaces_are_exported_and_start_no_backend():
    # A platform that does not exist is an error as soon as a backend is asked for, not before.
    code = f"""
import jax, jaxnet as jn
for name in {NAMESPACES}: print(getattr(jn, name).__name__)
jax.devices()
"""
    done = python(code, JAX_PLATFORMS="no")
    assert done.stdout.split() == [f"jaxnet.{name}" for name in NAMESPACES], done.stderr
    assert "Unknown backend" in done.stderr or "'no'" in done.stderr


def test_names_that_do_not_exist_are_errors():
    with pytest.raises(AttributeError, match="module 'jaxnet' has no attribute 'nonsense'"):
        jn.nonsense  # noqa: B018


def test_version_is_that_of_the_distribution():
    assert jn.__version__ == metadata.version("functional-jaxnet")


def test_the_other_distribution_is_named(tmp_path):
    folder = tmp_path / "jaxnet-0.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: jaxnet\nVersion: 0.2\n")
    done = python("import jaxnet", PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert done.returncode == 1
    assert "ImportError: the distribution 'jaxnet', another project, is installed" in done.stderr
    assert "pip uninstall -y jaxnet functional-jaxnet" in done.stderr


def test_the_example_of_the_readme_runs(capsys):
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )
    # With half of its epochs.
    assert blocks[0].count("num_epochs=20") == 1
    exec(compile(blocks[0].replace("num_epochs=20", "num_epochs=10"), "README.md", "exec"), {})
    accuracies = [float(number) for number in re.findall(r"[\d.]+", capsys.readouterr().out)]
    assert len(accuracies) == 8
    assert min(accuracies) > 0.95

"""What the documents and the files of the project say agrees with the code."""

import re
from pathlib import Path

import jaxnet as jn

ROOT = Path(__file__).resolve().parents[1]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_recipes_for_contributors_run():
    """The blocks build on each other, as they stand on the page."""
    blocks = re.findall(r"^```python\n(.*?)^```$", read("CONTRIBUTING.md"), re.M | re.S)
    assert len(blocks) == 4
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert names["history"]["loss"].shape == (2,)
    assert bool(abs(names["state"].params["mean"]).max() < 1)


def test_the_blocks_of_the_readme_about_early_stopping_and_rates_run():
    blocks = re.findall(r"^```python\n(.*?)^```$", read("README.md"), re.M | re.S)
    first = next(i for i, block in enumerate(blocks) if "jn.Validation" in block)
    names: dict = {}
    for block in blocks[first : first + 2]:
        exec(block, names)
    best = int(names["state"].extra.best.epoch)
    lowest = names["history"]["validation_loss"][best - 1]
    assert abs(float(names["scores"]["loss"] - lowest)) < 1e-5
    states, jax = names["states"], names["jax"]
    start = jax.jit(jax.vmap(names["learner"].init))(states.key)
    for part, frozen in names["frozen"].items():
        same = states.params[part]["kernel"] == start.params[part]["kernel"]
        assert bool(same.all()) == (frozen == "frozen")


def test_the_block_of_the_readme_about_estimators_runs(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```$", read("README.md"), re.M | re.S)
    (block,) = (block for block in blocks if "jaxnet.estimators" in block)
    names: dict = {}
    exec(block, names)
    assert names["search"].best_params_ == {"learning_rate": 1e-2}
    assert names["search"].best_score_ > 0.9 and capsys.readouterr().out


def test_version_license_and_authors_are_the_same_everywhere():
    metadata, citation = read("pyproject.toml"), read("CITATION.cff")
    assert f"version: {jn.__version__}\n" in citation
    assert "license: Apache-2.0\n" in citation and 'license = "Apache-2.0"' in metadata
    assert "name: jaxnet contributors\n" in citation and "jaxnet contributors" in metadata
    assert "Apache License\n" in read("LICENSE")


def test_the_workflows_run_the_command_of_the_readme():
    (command,) = re.findall(r"\.venv-test/bin/(python -m pytest.*)", read("README.md"))
    assert f"- run: {command}\n" in read(".github/workflows/tests.yml")
    classifiers = re.findall(r"Python :: (3\.\d+)", read("pyproject.toml"))
    (matrix,) = re.findall(r"python: \[(.*)\]", read(".github/workflows/tests.yml"))
    assert matrix == ", ".join(f'"{version}"' for version in classifiers)

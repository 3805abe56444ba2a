"""Tables as a user has them."""

import numpy as np
import polars
import pytest

from experiments.config import TableOptions
from experiments.data import load_table


@pytest.fixture
def file(tmp_path):
    """Write a table or text under a name and return the path."""

    def write(content: polars.DataFrame | str, name: str = "fruit.csv"):
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        elif name.endswith(".csv"):
            content.write_csv(path)
        elif name.endswith(".parquet"):
            content.write_parquet(path)
        else:
            np.savez(path, **{c.name: np.array(c.to_list()) for c in content.get_columns()})
        return path

    return write


@pytest.fixture
def load():
    """Loads a table of fruit: the label is the kind, the weight is ignored."""

    def load(path, **options):
        arguments = {"label": "kind", "task": "classification", "seed": 3}
        names = [name for name in options if name in TableOptions.__dataclass_fields__]
        table = {"ignore": ("weight",)} | {name: options.pop(name) for name in names}
        return load_table(path, options=TableOptions(**table), **(arguments | options))

    return load


@pytest.fixture
def rejects(load):
    """Asserts that a table is rejected with a message that holds some parts, each once."""

    def rejects(path, *expected: str, **options) -> None:
        with pytest.raises(ValueError) as caught:
            load(path, **options)
        for part in (f"{path}: ", *expected):
            assert str(caught.value).count(part) == 1, str(caught.value)

    return rejects

"""What experiments share that read packed data while networks are trained on them."""

import dataclasses
from typing import Any

from experiments.config import TableOptions
from experiments.data.streams.packed import PackedDataset
from experiments.training import batch_size
from jaxnet import streams
from jaxnet.training import Batches, index_shuffled

_BYTES_OF_A_BLOCK, _BYTES_OF_A_WINDOW = 1 << 20, 1 << 26


def stream_batches(config: Any, dataset: PackedDataset, train: streams.Source) -> Batches:
    """The order of the batches: blocks of about 1 MB, and windows of about 64 MB.

    Args:
        config: `DescentOptions`, for the batch size.
        dataset: the data.
        train: the training part.

    Raises:
        ValueError: a batch larger than the training part.
    """
    columns = dataset.examples.description.columns.values()
    size = max(1, sum(column.num_bytes() for column in columns))
    assert isinstance(train.blocks, int)
    block = max(train.blocks, _BYTES_OF_A_BLOCK // size)
    window = max(1, _BYTES_OF_A_WINDOW // (block * size))
    return index_shuffled(batch_size(config, len(train)), blocks=block, window=window)


def describe_packed(dataset: PackedDataset) -> dict[str, Any]:
    """Sizes of packed data, for a summary."""
    content = "image" if dataset.is_image else "features"
    sizes: dict[str, Any] = {
        "rows": dataset.num_examples,
        content: " x ".join(map(str, dataset.in_shape)),
    }
    if dataset.num_classes:
        sizes["classes"] = dataset.num_classes
    return sizes | {"files": len(dataset.examples.description.shards)}


def check_packed(config: Any) -> None:
    """Raise where options do not fit data that are read while networks are trained on them.

    Args:
        config: options of a classification or a regression.

    Raises:
        ValueError: an option that is for other data, or that needs the data in memory.
    """
    given = [name for name in ("label", "text") if getattr(config, name) is not None]
    given += [name for name in ("group",) if getattr(config, name, None) is not None]
    defaults = TableOptions()
    given += [
        field.name
        for field in dataclasses.fields(TableOptions)
        if getattr(config, field.name) != getattr(defaults, field.name)
    ]
    given += [name for name in ("resample", "cross_validate") if getattr(config, name, None)]
    given += [
        name for name in ("max_false_positive_rate",) if getattr(config, name, None) is not None
    ]
    # Items of the stream are sent to one device.
    given += [name for name in ("num_devices", "mesh") if getattr(config, name) is not None]
    given += ["shard_params"] if config.shard_params else []
    if given:
        raise ValueError(f"{given[0]} is not for packed data, found {config.data}; leave it out")
    if config.batch_size == "all":
        raise ValueError(
            "batch_size all needs the data in memory; name a number of examples, and an optimizer "
            "for batches, such as --batch-size 256 --optimizer adam --learning-rate 0.01"
        )

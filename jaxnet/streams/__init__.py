"""Data larger than memory: sources on disk, read in a shuffled order that takes no memory.

A `Source` gives the examples of any numbers. `stream(source, batches, key)` reads its batches ahead
of the training, for `jaxnet.epochs` and `jaxnet.runs.train`; with `jaxnet.training.index_shuffled`
they are bitwise identical to those of the same data in memory.
"""

from jaxnet.streams._description import Column, Description, Shard
from jaxnet.streams.images import ImageSource, image_source
from jaxnet.streams.npy import npy_source
from jaxnet.streams.packing import write_array_records
from jaxnet.streams.parquet import parquet_source
from jaxnet.streams.reading import stream
from jaxnet.streams.records import ArrayRecordSource, array_record_source
from jaxnet.streams.source import (
    Source,
    StreamError,
    array_source,
    grain_source,
    mapped,
)

__all__ = [
    "ArrayRecordSource",
    "Column",
    "Description",
    "ImageSource",
    "Shard",
    "Source",
    "StreamError",
    "array_record_source",
    "array_source",
    "grain_source",
    "image_source",
    "mapped",
    "npy_source",
    "parquet_source",
    "stream",
    "write_array_records",
]

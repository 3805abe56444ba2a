"""Rows of benchmarks, a function each: `row(clock, *, smoke) -> measured`.

`measured` is a dict that JSON can hold. A row of a command has an entry in `ROWS` of
`benchmarks.accelerator` or `benchmarks.cpu`, which names the module and the function. With an entry
`figures` (name -> number, text, or what `harness.spread` returns) `benchmarks.table` draws it;
other rows have a function in `benchmarks.table`.
"""

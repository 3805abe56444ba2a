"""The functions of the rows: `(clock, smoke) -> measured figures`."""

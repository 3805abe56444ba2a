"""Compare two runs: `python -m jaxnet.runs FIRST SECOND`."""

import argparse
import sys
from collections.abc import Sequence

from jaxnet.runs.compare import compare_runs


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two finished runs bit for bit.

    Returns:
        The exit status: 0 where they are identical, 1 where they differ, 2 where one is not a
        finished run.
    """
    parser = argparse.ArgumentParser("python -m jaxnet.runs", description=main.__doc__)
    parser.add_argument("first", help="run directory")
    parser.add_argument("second", help="another run directory")
    arguments = parser.parse_args(argv)
    try:
        names = compare_runs(arguments.first, arguments.second)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"not identical: {', '.join(names)}" if names else "identical: parameters and metrics")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())

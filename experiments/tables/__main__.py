"""The command line of `python -m experiments.tables`."""

import sys

from experiments.command import main
from experiments.tables import experiment

sys.exit(main(experiment))

"""The command line of `python -m experiments.regression`."""

import sys

from experiments.command import main
from experiments.regression import experiment

sys.exit(main(experiment))

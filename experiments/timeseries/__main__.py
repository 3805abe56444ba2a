"""The command line of `python -m experiments.timeseries`."""

import sys

from experiments.command import main
from experiments.timeseries import experiment

sys.exit(main(experiment))

"""The command line of `python -m experiments.anomaly`."""

import sys

from experiments.anomaly import experiment
from experiments.command import main

sys.exit(main(experiment))

"""The command line of `python -m experiments.clustering`."""

import sys

from experiments.clustering import experiment
from experiments.command import main

sys.exit(main(experiment))

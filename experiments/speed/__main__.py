"""The command line of `python -m experiments.speed`."""

import sys

from experiments.command import main
from experiments.speed import experiment

sys.exit(main(experiment))

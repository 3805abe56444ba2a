"""The command line of `python -m experiments.sweep`."""

import sys

from experiments.command import main
from experiments.sweep import experiment

sys.exit(main(experiment))

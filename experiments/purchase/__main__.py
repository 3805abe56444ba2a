"""The command line of `python -m experiments.purchase`."""

import sys

from experiments.command import main
from experiments.purchase import experiment

sys.exit(main(experiment))

"""The command line of `python -m experiments.backpropagation`."""

import sys

from experiments.backpropagation import experiment
from experiments.command import main

sys.exit(main(experiment))

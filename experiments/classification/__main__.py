"""The command line of `python -m experiments.classification`."""

import sys

from experiments.classification import experiment
from experiments.command import main

sys.exit(main(experiment))

"""The command line of `python -m experiments.semi_supervised`."""

import sys

from experiments.command import main
from experiments.semi_supervised import experiment

sys.exit(main(experiment))

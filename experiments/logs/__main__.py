"""The command line of `python -m experiments.logs`."""

import sys

from experiments.command import main
from experiments.logs import experiment

sys.exit(main(experiment))

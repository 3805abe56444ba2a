"""The command line of `python -m experiments.reconstruction`."""

import sys

from experiments.command import main
from experiments.reconstruction import experiment

sys.exit(main(experiment))

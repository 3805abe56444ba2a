"""The command line of `python -m experiments.speed`."""

import sys

from experiments.command import main
from experiments.speed.experiment import Config, run

sys.exit(main(Config, run))

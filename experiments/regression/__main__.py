"""The command line of `python -m experiments.regression`."""

import sys

from experiments.command import main
from experiments.regression.experiment import Config, run

sys.exit(main(Config, run))

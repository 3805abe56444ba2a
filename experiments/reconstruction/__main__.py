"""The command line of `python -m experiments.reconstruction`."""

import sys

from experiments.command import main
from experiments.reconstruction.experiment import Config, run

sys.exit(main(Config, run))

"""The command line of `python -m experiments.clustering`."""

import sys

from experiments.clustering.experiment import Config, run
from experiments.command import main

sys.exit(main(Config, run))

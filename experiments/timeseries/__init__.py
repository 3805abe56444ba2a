"""Random convolutions and a trained layer beside ROCKET on the UCR and UEA sets of series."""

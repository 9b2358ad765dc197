"""The systems: Config, network, loss and grouping of one published method each."""

"""torch.distributed.algorithms: training on uneven shares of the data."""

"""torch.nn.backends: an empty place that older programs import."""

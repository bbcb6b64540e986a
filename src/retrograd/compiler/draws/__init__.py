"""Random draws in generated code: PyTorch's CPU streams, in place on a generator's own state."""

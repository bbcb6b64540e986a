"""The parts of a recorder: statistics, files, a model's shadow, and what is read from a record."""

"""What surrounds the training loop: the optimizer, the history, resuming, the report of a run."""

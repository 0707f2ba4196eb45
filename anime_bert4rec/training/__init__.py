"""What surrounds the training loop: the optimizer, the metrics of each epoch, resuming, the report of a run."""

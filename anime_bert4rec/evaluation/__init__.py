"""How well a trained model ranks for people whom it never saw, beside baselines."""

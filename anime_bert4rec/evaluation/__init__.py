"""How well a trained model ranks for people whose lists it was not trained on, beside baselines."""

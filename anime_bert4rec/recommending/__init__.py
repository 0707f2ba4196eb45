"""From a model's scores to titles for a person."""

"""A BERT4Rec recommender for anime lists; see the README for a map of the folders."""

"""The pictures, drawn from the metrics, the lists and the model."""

from anime_bert4rec.plots import matplotlib_settings  # noqa: F401  # before any of them imports matplotlib

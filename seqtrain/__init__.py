"""seqtrain: train and compare sequence models."""

__version__ = "0.1.0"

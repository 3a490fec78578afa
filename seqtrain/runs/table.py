"""Metrics as a CSV table, for spreadsheets."""

from pytorch_lightning.loggers import CSVLogger


class CSV(CSVLogger):
    """Lightning's `CSVLogger` in the run's directory: `csv/version_N/metrics.csv`, a new version for every resume.

    Args:
        directory: the run's directory.
    """

    def __init__(self, *, directory: str) -> None:
        super().__init__(save_dir=directory, name="csv")

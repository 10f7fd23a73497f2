"""The one-off preparation of the published sets, behind `tools/prepare_data.py`."""

from dsr_nss.datasets.preparation.prepare import NAMES, prepare

__all__ = ['NAMES', 'prepare']

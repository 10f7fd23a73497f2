"""Feature prototype alignment."""

from dsr_nss.models.fpa.prototype_alignment import FPALoss

__all__ = ['FPALoss']

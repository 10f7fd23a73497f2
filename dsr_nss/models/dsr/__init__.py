"""Dynamic- and small-object refinement: mixup, long-tail bank, photometric augmentation."""

from dsr_nss.models.dsr.batch_memory_bank import BatchMemoryBank
from dsr_nss.models.dsr.memory_bank import LongTailMemoryBank
from dsr_nss.models.dsr.mixup import DSRMixup, Mixed
from dsr_nss.models.dsr.photometric import PhotometricAugmentation

__all__ = [
    'BatchMemoryBank',
    'DSRMixup',
    'LongTailMemoryBank',
    'Mixed',
    'PhotometricAugmentation',
]

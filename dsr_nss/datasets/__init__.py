"""Data sets in their published layouts, folders of one's own, and the source+target pairing."""

from dsr_nss.datasets.acdc import ACDC
from dsr_nss.datasets.bdd100k_night import BDD100kNight
from dsr_nss.datasets.cityscapes import Cityscapes
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.folder import FolderDataset
from dsr_nss.datasets.loading import LoadAnnotations, LoadImageFromFile
from dsr_nss.datasets.nighttime_driving import NighttimeDriving
from dsr_nss.datasets.sampler import StepSampler
from dsr_nss.datasets.source_target import SourceTargetDataset
from dsr_nss.errors import DataError

__all__ = [
    'ACDC',
    'BDD100kNight',
    'Cityscapes',
    'DarkZurich',
    'DataError',
    'FolderDataset',
    'LoadAnnotations',
    'LoadImageFromFile',
    'NighttimeDriving',
    'SourceTargetDataset',
    'StepSampler',
]

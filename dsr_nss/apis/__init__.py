"""What notebooks and other programs call: load a model, evaluate it, write the report."""

from dsr_nss.apis.evaluate import evaluate, evaluate_dataset
from dsr_nss.apis.models import load_model, read_model_config
from dsr_nss.apis.test_sets import select_datasets

__all__ = ['evaluate', 'evaluate_dataset', 'load_model', 'read_model_config', 'select_datasets']

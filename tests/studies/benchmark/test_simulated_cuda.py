"""Training steps and inference on a simulated GPU (see `tests/simulated_cuda.py`)."""

import pytest
import torch

from dsr_nss.inference.predict import classes_of_views, network_views
from dsr_nss.studies.benchmark.infer import _model
from dsr_nss.studies.benchmark.step import build_step, random_items
from tests.simulated_cuda import simulated_cuda
from tests.studies.benchmark.test_step import small

CUDA = torch.device('cuda')


def backward_of(model):
    """In the place of `Tensor.backward`, which wants a real device: gradients of zeros."""

    def backward(loss, *_, **__):
        assert loss.is_cuda and loss.ndim == 0 and loss.dtype == torch.float32
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)

    return backward


@pytest.mark.parametrize(
    ('name', 'amp'),
    [
        ('dsr_hrda_darkzurich.py', None),
        ('dsr_hrda_darkzurich.py', 'bf16'),
        ('dsr_hrda_darkzurich.py', 'fp16'),
        ('dsr_deeplabv2_darkzurich.py', 'bf16'),
        ('dsr_refinenet_darkzurich.py', 'fp16'),
        ('source_only_daformer_cityscapes.py', 'fp16'),
    ],
)
def test_a_step_runs_and_never_waits(repo_root, monkeypatch, name, amp):
    config = small(repo_root, name, 128)
    if config.model.get('bank'):
        config.model.bank.interval = 1
    with simulated_cuda(monkeypatch) as cuda:
        model, optim_wrapper = build_step(config, CUDA, amp=amp)
        monkeypatch.setattr(torch.Tensor, 'backward', backward_of(model))
        cuda.waits.clear()
        items = random_items(config)
        for _ in range(2):  # the second one pastes from the bank
            model.train_step(items, optim_wrapper)
        assert cuda.waits == {}
        assert {x.device.type for x in (*model.parameters(), *model.buffers())} == {'cuda'}
        assert all(group['fused'] for group in optim_wrapper.optimizer.param_groups)
        assert optim_wrapper.optimizer.state  # it did step


@pytest.mark.parametrize('amp', [None, 'fp16'])
@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('name', ['dsr_hrda_darkzurich.py', 'dsr_refinenet_darkzurich.py'])
def test_inference_stays_on_the_device(repo_root, monkeypatch, name, tta, amp):
    config = small(repo_root, name, 128)
    if 'test_cfg' in config.model.student:
        config.model.student.test_cfg.update(crop_size=(128, 128), stride=(64, 64))
    metas = [dict(ori_shape=(130, 194), img_shape=(130, 194))] * 2
    with simulated_cuda(monkeypatch) as cuda, torch.no_grad():
        model = _model(config, None, CUDA)
        image = torch.zeros(2, 3, 130, 194).to(CUDA)
        cuda.waits.clear()
        views = network_views(model, image, metas, tta, amp)
        ids, confidence = classes_of_views(views, None, tta, with_confidence=True)
        assert (ids.shape, ids.dtype, ids.device.type) == ((2, 130, 194), torch.uint8, 'cuda')
        assert (confidence.dtype, confidence.device.type) == (torch.float32, 'cuda')
        # weights of the strips, once a size: they are kept
        assert all('mosaic.py' in place for place in cuda.waits)


def test_waiting_is_noticed(monkeypatch):
    with simulated_cuda(monkeypatch) as cuda:
        here = torch.ones(3)
        there = here.to(CUDA, non_blocking=True)
        assert there.is_cuda and cuda.waits == {}
        there.copy_(here)
        there.cpu()
        assert cuda.waits == {'outside': 2}
        with pytest.raises(RuntimeError):
            there[[0, 2]]  # noqa: B018  a list as an index is copied
        with pytest.raises(RuntimeError):
            there @ here
        with pytest.raises(Exception, match='_local_scalar_dense'):
            there.sum().item()

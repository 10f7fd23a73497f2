"""The estimated memory of a step, beside what a step on the CPU takes."""

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dsr_nss.engine.config import read_config
from dsr_nss.studies.benchmark.memory import (
    LiveBytes,
    benchmark_cost,
    estimate_memory,
    gpu_kernels,
)
from dsr_nss.studies.benchmark.step import build_step, random_items
from dsr_nss.studies.benchmark.timing import Turns, peak_memory

CPU = torch.device('cpu')


def tiny(repo_root, **backbone):
    config = read_config(repo_root / 'configs/dsr_dinov3_s_darkzurich.py')
    config.model.student.backbone.update(model_name='vit_tiny_patch16_dinov3_qkvb', **backbone)
    config.model.student.decode_head.in_channels = 192
    config.model.refinement.aligner = dict(type='Identity')
    config.train_dataloader.dataset.crop_size = config.model.bank.size = (128, 128)
    return config


def test_it_is_what_a_step_on_the_cpu_takes(repo_root):
    config = tiny(repo_root)
    estimated = estimate_memory(config, amp=False)
    model, wrapper = build_step(config, CPU, amp=None)
    items = random_items(config)
    model.train_step(items, wrapper)
    measured = peak_memory(lambda: model.train_step(items, wrapper), CPU)
    assert estimated['step'] == pytest.approx(measured, rel=0.1)
    tensors = [*model.parameters(), *model.buffers()]
    assert estimated['weights'] == sum(t.numel() * t.element_size() for t in tensors)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert estimated['optimiser'] == pytest.approx(8 * trained, rel=1e-3)
    half = estimate_memory(config, amp=True)
    assert half['weights'] == estimated['weights'] and half['step'] < 0.8 * estimated['step']
    recomputed = estimate_memory(tiny(repo_root, with_cp=True), amp=True)
    assert recomputed['step'] < 0.8 * half['step']


def test_the_table_names_operations_and_gibibytes(repo_root):
    config = read_config(repo_root / 'configs/source_only_dinov3_s_cityscapes.py')
    config.train_dataloader.dataset.crop_size = (64, 64)
    report = benchmark_cost([config], Turns(CPU))
    (cost,) = report.content['cost'].values()
    heading, _, row = report.text.splitlines()[-3:]
    assert 'TFLOP' in heading and row.split()[0] == 'source_only_dinov3_s_cityscapes'
    assert [float(cell) for cell in row.split()[-2:]] == pytest.approx(
        [cost[kind] / 2**30 for kind in ('amp', 'float32')], abs=0.05
    )
    assert cost['amp'] == cost['weights'] + cost['optimiser'] + cost['step']
    assert cost['flops'] > 1e9


def test_what_lives_at_once_is_summed():
    with torch.device('meta'), LiveBytes() as live:
        first = torch.zeros(1000)
        second = first[:10].view(2, 5)  # no memory of its own
        second = torch.ones(500) + 1  # two at once, one of them for a moment
        del first
        third = torch.zeros(100)
    assert live.peak == 4 * (1000 + 500 + 500)
    del second, third
    gc.collect()


def test_attention_is_counted_as_fused_kernels_hold_it():
    layer = nn.Linear(8, 8, device='meta')
    with gpu_kernels(amp=True), LiveBytes() as live:
        tokens = torch.zeros(1, 2, 1000, 8, device='meta')
        mixed = F.scaled_dot_product_attention(*[layer(tokens)] * 3)
        assert mixed.dtype is torch.bfloat16
        normed = F.layer_norm(mixed, (8,))
        assert normed.dtype is torch.float32
        normed.sum().backward()
    assert layer.weight.grad.dtype is torch.float32
    assert live.peak < 1000 * 1000  # the weights of all pairs alone would be 4 MB

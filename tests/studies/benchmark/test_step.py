"""The stages and the operations of a step, against steps and layers that are known."""

import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsr_nss.engine.config import read_config
from dsr_nss.errors import ConfigError
from dsr_nss.matching.match_aligner import MatchAligner
from dsr_nss.studies.benchmark.align import benchmark_align
from dsr_nss.studies.benchmark.flops import count
from dsr_nss.studies.benchmark.memory import estimate_memory
from dsr_nss.studies.benchmark.stages import STAGES, StageMeter, step_parts
from dsr_nss.studies.benchmark.step import (
    benchmark_steps,
    build_step,
    count_step,
    random_items,
)
from dsr_nss.studies.benchmark.timing import Turns
from tests.models.segmentors.conftest import STUDENT, build, dsr_config, make_items

CPU = torch.device('cpu')


def small(repo_root: Path, name: str, crop: int):
    """A real config at a small crop."""
    options = {'train_dataloader.dataset.crop_size': (crop, crop)}
    config = read_config(repo_root / 'configs' / name)
    if config.model.get('bank'):
        options['model.bank.size'] = (crop, crop)
    config.merge_from_dict(options)
    if config.model.student.backbone.get('arch') == 'b5':
        config.model.student.backbone.arch = 'b1'  # as wide, less deep
    return config


@MODELS.register_module()
class PointMatcher(MatchAligner):
    """Finds as many points as pixels are bright, and none before its weights are loaded."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.register_buffer('loaded', torch.zeros((), dtype=torch.bool))
        self.found = []

    def init_weights(self):
        self.loaded.fill_(True)

    def match(self, night, day):
        points = (night[0, 0] * self.loaded > 0.9).nonzero().flip(1).float()
        self.found.append(len(points))
        return points, torch.zeros_like(points), torch.ones(len(points))


def test_matchers_of_points_have_weights_in_steps_and_no_part_in_what_is_counted(repo_root):
    config = small(repo_root, 'demo/dsr_hrda_nightscape.py', 64)
    start = dict(type='Pretrained', checkpoint='matcher.pth')
    config.model.refinement.aligner = dict(type='PointMatcher', init_cfg=start, max_side=64)
    model, wrapper = build_step(config, CPU, amp=None)
    assert model.refinement.aligner.init_cfg['checkpoint'] == 'matcher.pth'
    model.train_step(random_items(config), wrapper)
    assert min(model.refinement.aligner.found) > 100
    report = benchmark_align(config, Turns(CPU, 0, 1), size=(32, 32))
    assert report.content['PointMatcher']['repeats'] == 1
    assert count_step(config)['alignment'] == 0
    assert estimate_memory(config, amp=True)['step'] > 0


# ---- stages -----------------------------------------------------------------------------------


def test_inner_stages_are_not_counted_in_outer_ones():
    readings = iter([0, 1, 3, 10, 11, 20])
    meter = StageMeter(lambda: next(readings))
    with meter.stage('rest'):  # 0
        with meter.stage('teacher'):  # 1
            pass  # 3
        with meter.stage('teacher'):  # 10
            pass  # 11
    assert meter.take() == {'teacher': 2 + 1, 'rest': 1 + 7 + 9}
    assert meter.take() == {}


def test_a_metered_step_is_the_same_step_and_leaves_no_trace():
    results = []
    for is_metered in (False, True):
        model = build(dsr_config())
        wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=1e-3))
        torch.manual_seed(3)
        if is_metered:
            before = dict(model.student.__dict__)
            meter = StageMeter(time.perf_counter)
            with meter.attached(step_parts(model, wrapper)):
                model.train_step(make_items(), wrapper)
            assert model.student.__dict__.keys() == before.keys()
            unused = {'masked pass'}  # it belongs to masked consistency
            assert tuple(meter.take()) == tuple(s for s in STAGES if s not in unused)
        else:
            model.train_step(make_items(), wrapper)
        results.append(model.state_dict())
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]), name


# ---- operations -------------------------------------------------------------------------------


@pytest.mark.parametrize('groups', [1, 4, 8])
def test_both_gradients_of_a_convolution_cost_what_it_costs(groups):
    conv = nn.Conv2d(8, 16, 3, padding=1, groups=groups, bias=False)
    image = torch.rand(2, 8, 5, 6, requires_grad=True)
    forward = 2 * (2 * 5 * 6) * (16 * 8 // groups * 9)  # 2 a multiply-add
    with count() as counter:
        output = conv(image)
        assert counter.get_total_flops() == forward
        output.sum().backward()
    assert counter.get_total_flops() == 3 * forward
    with count() as counter:
        conv(image.detach()).sum().backward()
    assert counter.get_total_flops() == 2 * forward


def test_operations_without_computing_are_those_of_a_computed_step(repo_root):
    config = small(repo_root, 'dsr_hrda_darkzurich.py', 64)
    config.model.student = STUDENT
    config.model.refinement.aligner = dict(type='Identity')
    counted = count_step(config)
    model, wrapper = build_step(config, CPU, amp=None)
    # a CPU's fused attention computes part of the backward pass twice, and is no `meta` kernel
    with sdpa_kernel(SDPBackend.MATH), count() as counter:
        meter = StageMeter(lambda: float(counter.get_total_flops()))
        with meter.attached(step_parts(model, wrapper)):
            model.train_step(random_items(config), wrapper)
    computed = meter.take()
    # which images are blurred is drawn anew
    counted['mixing'] = computed['mixing']
    assert counted == computed
    assert counted['teacher'] > 1e8
    assert counted['backward'] == pytest.approx(
        2 * (counted['source pass'] + counted['mixed pass'] + counted['FPA']), rel=0.2
    )


@pytest.mark.parametrize('kind', ['Homography', 'XFeat', 'LoFTR'])
def test_aligners_that_look_at_content_are_not_counted(repo_root, kind):
    config = small(repo_root, 'dsr_hrda_darkzurich.py', 64)
    config.model.student = STUDENT
    counted = {}
    for aligner in ('Identity', kind):
        config.model.refinement.aligner = dict(type=aligner)
        counted[aligner] = sum(count_step(config).values())
        assert config.model.refinement.aligner.type == aligner  # a copy is counted
    assert counted[kind] == pytest.approx(counted['Identity'], rel=0.01)  # blur is drawn anew


@pytest.mark.parametrize(
    'name',
    [
        'dsr_deeplabv2_darkzurich.py',
        'dsr_refinenet_darkzurich.py',
        'dsr_hrda_darkzurich.py',
        'source_only_hrda_cityscapes.py',
    ],
)
def test_nothing_in_a_step_waits_for_the_device(repo_root, name):
    """On torch's `meta` device a step that reads the content of a tensor cannot go on."""
    counted = count_step(small(repo_root, name, 128))
    assert counted['source pass'] > 0 and counted['backward'] > counted['source pass']
    assert counted['EMA'] == 0 if name.startswith('dsr') else 'EMA' in counted


# ---- the whole --------------------------------------------------------------------------------


def test_two_configs_in_turns(repo_root, monkeypatch):
    for name in ('matmul_peak', 'copy_bandwidth'):
        monkeypatch.setattr(f'dsr_nss.studies.benchmark.step.{name}', lambda *_: 1e12)
    configs = [
        small(repo_root, f'demo/{name}_hrda_nightscape.py', 64) for name in ('source_only', 'dsr')
    ]
    report = benchmark_steps(configs, Turns(CPU, 0, 2))
    first, second = report.content['steps'].values()
    assert first['repeats'] == second['repeats'] == 2
    assert first['crop_size'] == (64, 64) and first['batch_size'] == 2
    assert 0 < first['peak_memory'] < second['peak_memory'] * 1.5
    source_only, mixed = first['seconds_by_stage'], second['seconds_by_stage']
    assert 'mixed pass' not in source_only and mixed['mixed pass'] > 0
    assert 'teacher' not in source_only and mixed['teacher'] > 0
    assert mixed['backward'] > 0
    assert second['times_first'] == first['median_s'] / second['median_s']
    assert second['share_of_peak'] == pytest.approx(second['flops'] / second['median_s'] / 1e12)
    assert report.text.count('2 + 2 crops of 64x64') == 2 and report.text.count('together') == 2


def test_only_adaptations_have_steps(repo_root):
    config = small(repo_root, 'demo/source_only_hrda_nightscape.py', 64)
    config.model = config.model.student
    with pytest.raises(ConfigError, match='measures adaptations'):
        build_step(config, CPU, amp=None)


def test_labels_of_noise_are_of_the_classes_of_the_model():
    head = dict(type='Outer', head=dict(type='Inner', num_classes=2))
    loader = dict(batch_size=1, dataset=dict(crop_size=(16, 16)))
    config = Config(dict(model=dict(student=dict(decode_head=head)), train_dataloader=loader))
    assert random_items(config)['source_label'].unique().tolist() == [0, 1]

"""Every config builds the model that its name says."""

import functools
import inspect
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS

from dsr_nss.classes import CLASSES, GROUPS
from dsr_nss.engine.class_block import class_block
from dsr_nss.engine.config import read_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path
    for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'ablations', 'rows'} & set(path.parts)
)


OVERLAYS = sorted((ROOT / 'configs/ablations').glob('*.py'))


def test_configs_and_overlays_have_different_stems():
    """The default work dir is named after them."""
    assert len({path.stem for path in (*CONFIGS, *OVERLAYS)}) == len(CONFIGS) + len(OVERLAYS)


@pytest.mark.parametrize('path', OVERLAYS, ids=lambda p: p.stem)
def test_overlay_changes_the_config_that_it_names_and_says_how_to_run_it(path):
    command = (
        path.read_text().split('"""')[1].replace('\\\n', '').split('python tools/train.py ')[1]
    )
    base, option, *names = command.split('\n\n')[0].split()
    assert option == '--with' and names[0] == str(path.relative_to(ROOT))
    before, after = (read_config(ROOT / base, overlays=files) for files in ((), [path]))
    changed = {key for key in before if before[key] != after[key]}
    expected = {'linear_decay': {'param_scheduler'}, 'lora': {'model', 'optim_wrapper'}}
    assert changed == expected.get(path.stem, {'model'})


@pytest.mark.parametrize('name', ['classmix', 'dacs', 'no_refinement'])
def test_without_the_day_reference_no_step_takes_it_as_the_target(name):
    for base in ('dsr_hrda_acdc', 'dsr_hrda_darkzurich'):
        overlay = ROOT / f'configs/ablations/{name}.py'
        model = read_config(ROOT / f'configs/{base}.py', overlays=[overlay]).model
        assert model.refinement is None and not model.get('adapt_to_reference')


def shrink(student) -> None:
    """The same code on the smallest encoder of its kind, in a tenth of the time."""
    backbone, head = student.backbone, student.decode_head
    backbone.pop('init_cfg', None)
    if backbone.get('arch') == 'b5':
        backbone.arch, channels = 'b0', [32, 64, 160, 256]
    elif backbone.get('depth') == 101:
        backbone.depth, channels = 18, [64, 128, 256, 512]
    elif backbone.type == 'TimmViT':
        name, width = backbone.model_name, head.in_channels
        assert width == {'small': 384, 'base': 768, 'large': 1024}[name.split('_')[1]]
        backbone.model_name, head.in_channels = name.replace(name.split('_')[1], 'small'), 384
        return
    else:
        return
    if head.type == 'HRDAHead':
        head.head.in_channels = head.scale_attention.in_channels = channels
    else:
        head.in_channels = channels[-1] if head.type == 'DeepLabV2Head' else channels


@pytest.mark.parametrize(
    'path', [path for path in CONFIGS if path.parent.name == 'align'], ids=lambda p: p.stem
)
def test_matching_model_builds_and_the_images_are_larger_than_its_crop(path):
    config = read_config(path)
    model = MODELS.build(config.model)
    crop, size = model.crop_size, config.train_dataloader.dataset.size
    ratios = [size[i] / crop[i] for i in (0, 1)]
    assert all(1.4 < ratio < 1.5 for ratio in ratios)
    assert model.bipath_start <= config.train_cfg.max_iters
    second = 'stage2' in path.stem
    assert model.visibility_mask == second and bool(config.model.get('init_cfg')) == second


def test_the_second_stage_starts_where_the_first_one_ends():
    first = read_config(ROOT / 'configs/align/uawarpc_megadepth.py')
    second = read_config(ROOT / 'configs/align/uawarpc_megadepth_stage2.py')
    end = f'work_dirs/uawarpc_megadepth/iter_{first.train_cfg.max_iters}.pth'
    assert second.model.init_cfg.checkpoint == end
    assert first.train_dataloader == second.train_dataloader
    assert first.train_dataloader.batch_size == 6


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_config_reads_without_unknown_names_says_how_to_run_it_and_its_model_builds(path):
    config = read_config(path)
    command = f'python tools/train.py {path.relative_to(ROOT)}'
    assert command in path.read_text().split('"""')[1]
    if path.parent.name == 'align':  # the model is built above
        assert config.model.type == 'WarpConsistency'
        return
    assert config.model.type in ('DSRNSS', 'SourceOnly')
    shrink(config.model.student)
    if config.model.get('refinement'):
        config.model.refinement.aligner.type = 'Identity'  # the matcher takes as long as the rest
    model = MODELS.build(config.model)
    assert model.student.num_classes == len(CLASSES)
    crop = config.train_dataloader.dataset.crop_size
    if config.model.get('bank'):
        assert tuple(config.model.bank.size) == tuple(crop)


def test_classes_and_groups_of_the_configs_are_those_of_the_table():
    block = class_block(Config.fromfile(ROOT / 'configs/_base_/classes.py'))
    assert block.names == CLASSES
    assert {group: block.meta['groups'][group] for group in GROUPS} == GROUPS
    model = read_config(ROOT / 'configs/dsr_hrda_darkzurich.py').model
    assert model.refinement.static_classes == GROUPS['large_static']
    assert model.mixup.always_classes == GROUPS['small'] + GROUPS['dynamic']
    assert model.bank.long_tail_classes == GROUPS['long_tail']
    assert model.alignment.long_tail_classes == GROUPS['long_tail']
    things = ('traffic light', 'traffic sign') + GROUPS['dynamic']
    assert model.feature_distance.classes == things


def test_the_papers_run_has_the_papers_numbers():
    config = read_config(ROOT / 'configs/dsr_hrda_darkzurich.py')
    assert (config.model.alpha, config.model.beta) == (1.0, 0.1)
    assert config.model.teacher.momentum == 0.999
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 6e-4, 0.01)
    assert config.train_cfg.max_iters == 40000
    assert config.param_scheduler.power == 0.9 and config.param_scheduler.warmup == 1500
    assert config.model.alignment.start == 10000
    assert config.train_dataloader.batch_size == 2
    assert tuple(config.train_dataloader.dataset.crop_size) == (1024, 1024)


@pytest.mark.parametrize('network', ['daformer', 'deeplabv2', 'refinenet'])
def test_the_other_networks_run_as_the_papers_run(network):
    """Equal schedule, losses and teacher; half resolution, and what the authors set apart."""
    config = read_config(ROOT / f'configs/dsr_{network}_darkzurich.py')
    paper = read_config(ROOT / 'configs/dsr_hrda_darkzurich.py')
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'default_hooks'):
        assert config[key] == paper[key]
    for part in ('teacher', 'mixup', 'refinement', 'alignment', 'augmentation', 'alpha', 'beta'):
        assert config.model[part] == paper.model[part]
    has_feature_distance = config.model.get('feature_distance') is not None
    assert has_feature_distance == (network != 'refinenet')
    expected = 0.0 if network == 'daformer' else 0.5
    assert config.model.get('adapt_to_reference', 0.0) == expected
    assert config.train_dataloader.dataset.crop_size == (512, 512)
    start = {
        'daformer': 'mit_b5.pth',
        'deeplabv2': 'resnet101_v1c.pth',
        'refinenet': 'resnet101.pth',
    }[network]
    lower = read_config(ROOT / f'configs/source_only_{network}_cityscapes.py')
    for run in (config, lower):
        assert run.model.student.backbone.init_cfg.checkpoint == f'data/pretrained/{start}'
    assert config.model.student == lower.model.student


@pytest.mark.parametrize('encoder', [f'dinov{v}_{size}' for v in (2, 3) for size in 'sbl'])
def test_foundation_encoders_are_compared_with_their_own_start(encoder):
    lower = read_config(ROOT / f'configs/source_only_{encoder}_cityscapes.py')
    for data in ('darkzurich', 'acdc'):
        config = read_config(ROOT / f'configs/dsr_{encoder}_{data}.py')
        for key in ('optim_wrapper', 'param_scheduler', 'train_cfg'):
            assert config[key] == lower[key]
        assert config.model.student == lower.model.student
        source = lower.train_dataloader.dataset
        assert {**config.train_dataloader.dataset, 'target': None} == source
        assert config.model.masking.type == 'MaskedConsistency'


def test_mic_runs_by_its_own_protocol():
    config = read_config(ROOT / 'configs/mic_hrda_darkzurich.py')
    masking = MODELS.build({**config.model.masking, 'student': None})
    assert (masking.ratio, masking.block, masking.variant) == (0.7, 64, 'half')
    assert config.model.refinement is config.model.bank is config.model.alignment is None
    assert config.model.student.backbone.init_cfg.checkpoint == 'data/pretrained/mit_b5.pth'
    assert config.model.student.test_cfg.crop_size == (1024, 1024)
    rate = config.optim_wrapper.optimizer.lr * config.optim_wrapper.paramwise_cfg.backbone_lr_mult
    assert rate == pytest.approx(6e-5) and config.param_scheduler.power == 1.0
    with_day = read_config(ROOT / 'configs/dsr_mic_hrda_darkzurich.py')
    assert with_day.model.masking == config.model.masking


#: Field -> what is published or stated, and where.
VFM_UDA = {  # tue-mps/vfm-uda, training/uda_vit/uda_vit_generic.py, datasets/; docs/vfm.md
    'train_dataloader.batch_size': 8,
    'optim_wrapper.optimizer.type': 'AdamW',
    'optim_wrapper.optimizer.lr': 5e-5 * 8**0.5,  # times the root of the loader's batch
    'optim_wrapper.optimizer.weight_decay': 0.01,
    'optim_wrapper.paramwise_cfg.decay_all': True,  # one setting for all parameters
    'optim_wrapper.paramwise_cfg.backbone_lr_mult': 0.1,
    'optim_wrapper.paramwise_cfg.layer_decay': None,
    'param_scheduler.warmup': 1500,
    'param_scheduler.warmup_ratio': 1e-3,
    'param_scheduler.power': 1.0,
    'train_cfg.max_iters': 40000,
    'train_dataloader.dataset.crop_size': (1024, 1024),
    'train_dataloader.dataset.rare_class_sampling.temperature': 0.05,
    'train_dataloader.dataset.rare_class_sampling.min_pixels': 3000,
    'train_dataloader.dataset.rare_class_sampling.min_crop_ratio': 2.0,
    'train_dataloader.dataset.rare_class_sampling.max_tries': 20,
    'model.student.backbone.model_name': 'vit_base_patch14_dinov2',
    'model.student.backbone.scale': 1.1,
    'model.student.backbone.positions': 'hub',
    'model.student.decode_head.type': 'LightHead',
    'model.teacher.momentum': 0.999,
    'model.confidence_threshold': 0.968,
    'model.masking.unit': 'token',
    'model.masking.variant': 'target_aug',
    'model.masking.ratio': 0.7,
    'model.masking.weight': 1.0,
    'model.feature_distance': None,
    'model.refinement': None,
    'model.bank': None,
    'model.alignment': None,
}
FOUNDATION = {
    'train_dataloader.batch_size': 2,
    'optim_wrapper.optimizer.type': 'AdamW',
    'optim_wrapper.optimizer.lr': 1e-4,  # ours: configs/_base_/schedules/vision_transformer.py
    'optim_wrapper.optimizer.weight_decay': 0.01,
    'optim_wrapper.paramwise_cfg.backbone_lr_mult': 0.1,  # VFM-UDA, VFM-UDA++
    'optim_wrapper.paramwise_cfg.layer_decay': 0.9,  # VFM-UDA++
    'param_scheduler.warmup': 1500,
    'train_cfg.max_iters': 40000,
    'model.masking.unit': 'block',  # lhoyer/MIC, seg/experiments.py: the rest of the masks
    'model.masking.variant': 'target',
    'model.masking.block': 64,
    'model.masking.ratio': 0.7,
    'model.feature_distance': None,  # VFM-UDA has it off
}
PINNED = {
    path.stem: VFM_UDA if path.stem.startswith('vfm') else FOUNDATION
    for path in CONFIGS
    if re.match(r'(dsr_dinov|vfm_uda)', path.stem)
}


def effective(config, field):
    """What a field holds; where the config leaves it out, what its class takes then."""
    *way, name = field.split('.')
    owner = functools.reduce(lambda part, key: part[key], way, config)
    if name in owner or 'type' not in owner:
        return owner.get(name)
    return inspect.signature(MODELS.get(owner.type)).parameters[name].default


@pytest.mark.parametrize('stem', PINNED)
def test_foundation_encoders_have_the_settings_that_are_stated(stem):
    config = read_config(ROOT / f'configs/{stem}.py')
    wanted = PINNED[stem]
    assert {field: effective(config, field) for field in wanted} == wanted


COMPARED = {
    ('demo', 'nightscape'): ('hrda_', 'daformer_', 'deeplabv2_', 'refinenet_'),
    ('camvid', 'camviddusk'): ('', 'deeplabv2_', 'refinenet_'),
}


@pytest.mark.parametrize(
    'folder, data, network',
    [(*where, network) for where, networks in COMPARED.items() for network in networks],
)
def test_runs_that_are_compared_differ_in_the_method_only(folder, data, network):
    configs = [
        read_config(ROOT / f'configs/{folder}/{method}_{network}{data}.py')
        for method in ('source_only', 'dsr')
    ]
    for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg'):
        assert all(c[key] == configs[0][key] for c in configs), key
    assert all(c.model.student == configs[0].model.student for c in configs)
    # the networks see the same data for as long
    hrda = read_config(
        ROOT / f'configs/{folder}/dsr_{"hrda_" if folder == "demo" else ""}{data}.py'
    )
    for key in ('train_dataloader', 'train_cfg'):
        assert configs[0][key] == hrda[key], key
    for part in ('teacher', 'mixup', 'refinement', 'bank', 'augmentation'):
        assert configs[-1].model[part] == hrda.model[part], part


def test_no_config_states_how_many_classes_there_are(repo_root):
    """It follows from `classes`; where it is stated, classes of one's own do not fit."""
    stating = [
        path for path in (repo_root / 'configs').rglob('*.py') if 'num_classes' in path.read_text()
    ]
    assert stating == []

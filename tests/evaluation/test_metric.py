"""The metric of validation: its numbers, its errors, and several processes."""

import os

import pytest
import torch
import torch.multiprocessing as multiprocessing
from mmseg.registry import METRICS

from dsr_nss.classes import CLASSES
from dsr_nss.errors import DataError
from dsr_nss.evaluation.iou import confusion_matrix, iou_scores


def make_samples(count=5):
    """mmseg samples as dicts, of different sizes."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for i in range(count):
        size = (1, 8 + i, 12)
        target = torch.randint(0, 6, size, generator=generator)
        noise = torch.randint(0, 8, size, generator=generator)
        right = torch.rand(size, generator=generator) < 0.3 + 0.1 * i
        prediction = torch.where(right, target, noise)
        target[:, 0] = 255
        samples.append(
            dict(
                img_path=f'{i}.png',
                seg_map_path=f'{i}_label.png',
                pred_sem_seg=dict(data=prediction),
                gt_sem_seg=dict(data=target),
            )
        )
    return samples


def make_metric(**kwargs):
    metric = METRICS.build(dict(type='NightIoUMetric', prefix='night_val', **kwargs))
    metric.dataset_meta = dict(classes=CLASSES)
    return metric


def test_values():
    samples = make_samples()
    metric = make_metric(per_class=True)
    for sample in samples:
        metric.process({}, [sample])
    values = metric.evaluate(len(samples))
    total = sum(
        confusion_matrix(s['pred_sem_seg']['data'][0], s['gt_sem_seg']['data'][0], 19)
        for s in samples
    )
    expected = iou_scores(total, CLASSES)
    assert values['night_val/mIoU'] == expected.mean
    assert values['night_val/mIoU_official'] == expected.official < expected.mean
    assert values['night_val/mIoU_small'] == expected.groups['small']
    assert 'night_val/mIoU_dynamic' not in values  # no dynamic class occurs
    assert values['night_val/IoU/road'] == expected.classes['road']
    assert 'night_val/IoU/car' not in values
    assert metric.results == []


def test_without_classes_only_means():
    metric = make_metric()
    metric.process({}, make_samples(1))
    assert set(metric.evaluate(1)) == {
        f'night_val/{name}' for name in ('mIoU', 'mIoU_official', 'mIoU_large_static', 'mIoU_small')
    }


def test_nothing_large_is_kept():
    metric = make_metric()
    metric.process({}, make_samples(1))
    assert [tuple(result.shape) for result in metric.results] == [(19, 19)]


def test_size_mismatch_names_the_files():
    sample = make_samples(1)[0]
    sample['pred_sem_seg'] = dict(data=torch.zeros(1, 4, 4, dtype=torch.int64))
    with pytest.raises(DataError, match=r'0\.png, label 0_label\.png.* 4x4 and the label 8x12'):
        make_metric().process({}, [sample])


def test_foreign_ids_name_the_files():
    sample = make_samples(1)[0]
    sample['gt_sem_seg']['data'][0, 5, 5] = 33
    with pytest.raises(DataError, match=r'0_label\.png: the label holds the ids 33'):
        make_metric().process({}, [sample])


def test_labels_of_ignored_pixels_only():
    sample = make_samples(1)[0]
    sample['gt_sem_seg']['data'][:] = 255
    metric = make_metric()
    metric.process({}, [sample])
    with pytest.raises(DataError, match='night_val: .*only ignored'):
        metric.evaluate(1)


def test_missing_label_says_so():
    sample = make_samples(1)[0]
    del sample['gt_sem_seg']
    with pytest.raises(DataError, match=r'0\.png: no label was loaded'):
        make_metric().process({}, [sample])


def _evaluate_share(rank, port, folder):
    """One of two processes, with the sampler's padding: 5 samples, the first one twice."""
    os.environ |= dict(
        MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE='2'
    )
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo')
    samples = make_samples()
    metric = make_metric()
    for i in range(rank, 6, 2):
        metric.process({}, [samples[i % 5]])
    torch.save(metric.evaluate(5), folder / f'{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_numbers_of_one(tmp_path):
    metric = make_metric()
    metric.process({}, make_samples())
    expected = metric.evaluate(5)
    context = multiprocessing.get_context('fork')
    port = 20000 + os.getpid() % 20000
    workers = [
        context.Process(target=_evaluate_share, args=(rank, port, tmp_path)) for rank in (0, 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    for rank in (0, 1):
        assert torch.load(tmp_path / f'{rank}.pth') == expected  # equal to the last bit

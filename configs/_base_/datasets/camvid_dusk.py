# CamVid, day to dusk (data/README.md): real street scenes of 360x480, no day references.
_base_ = '../classes.py'

_root = 'data/camvid_dusk'

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='StepSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='SourceTargetDataset',
        source=dict(
            type='FolderDataset',
            data_root=_root,
            images='images/day/train',
            labels='labels/day/train',
        ),
        target=dict(type='FolderDataset', data_root=_root, images='images/dusk/train'),
        crop_size=(192, 192),
        rare_class_sampling=dict(temperature=0.01, min_pixel_share=0.003, min_crop_ratio=0.5),
    ),
)

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_sets = dict(
    camvid_dusk_val=dict(
        type='FolderDataset',
        data_root=_root,
        images='images/dusk/val',
        labels='labels/dusk/val',
        pipeline=test_pipeline,
    ),
    camvid_day_val=dict(
        type='FolderDataset',
        data_root=_root,
        images='images/day/val',
        labels='labels/day/val',
        pipeline=test_pipeline,
    ),
)
default_test_sets = ['camvid_dusk_val', 'camvid_day_val']

val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=test_sets['camvid_dusk_val'],
)
val_evaluator = dict(type='NightIoUMetric', prefix='camvid_dusk_val')

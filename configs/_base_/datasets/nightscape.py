# Nightscape in the real sets' layouts (docs/nightscape.md), for images of 256x512.
_base_ = '../classes.py'

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='StepSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='SourceTargetDataset',
        source=dict(type='Cityscapes', data_root='data/nightscape/cityscapes', split='train'),
        target=dict(type='DarkZurich', data_root='data/nightscape/dark_zurich', split='train'),
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
    dark_zurich_val=dict(
        type='DarkZurich',
        data_root='data/nightscape/dark_zurich',
        split='val',
        pipeline=test_pipeline,
    ),
    dark_zurich_test=dict(
        type='DarkZurich',
        data_root='data/nightscape/dark_zurich',
        split='test',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    ),
    acdc_night_val=dict(
        type='ACDC',
        data_root='data/nightscape/acdc',
        split='val',
        condition='night',
        pipeline=test_pipeline,
    ),
    nighttime_driving=dict(
        type='NighttimeDriving',
        data_root='data/nightscape/nighttime_driving',
        split='test',
        pipeline=test_pipeline,
    ),
    cityscapes_val=dict(
        type='Cityscapes',
        data_root='data/nightscape/cityscapes',
        split='val',
        pipeline=test_pipeline,
    ),
)
default_test_sets = ['dark_zurich_val']

val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=test_sets['dark_zurich_val'],
)
val_evaluator = dict(type='NightIoUMetric', prefix='dark_zurich_val')

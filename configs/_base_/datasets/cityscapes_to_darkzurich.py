# Cityscapes (day, labels) to Dark Zurich (night, with day references), full-resolution crops.
_base_ = '../classes.py'

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='StepSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='SourceTargetDataset',
        source=dict(type='Cityscapes', data_root='data/cityscapes', split='train'),
        target=dict(type='DarkZurich', data_root='data/dark_zurich', split='train'),
        crop_size=(1024, 1024),
        # a crop holds more than 2.0 x 3000 pixels of the drawn class; DAFormer's 0.5 at half size
        rare_class_sampling=dict(temperature=0.01, min_pixels=3000, min_crop_ratio=2.0),
    ),
)

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
unlabelled_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]

# What `tools/test.py --dataset NAME,...` can evaluate; those named *_test have no labels and are for
# `--submit`.
test_sets = dict(
    dark_zurich_val=dict(
        type='DarkZurich', data_root='data/dark_zurich', split='val', pipeline=test_pipeline
    ),
    dark_zurich_test=dict(
        type='DarkZurich', data_root='data/dark_zurich', split='test', pipeline=unlabelled_pipeline
    ),
    acdc_night_val=dict(
        type='ACDC', data_root='data/acdc', split='val', condition='night', pipeline=test_pipeline
    ),
    acdc_night_test=dict(
        type='ACDC',
        data_root='data/acdc',
        split='test',
        condition='night',
        pipeline=unlabelled_pipeline,
    ),
    acdc_test=dict(
        type='ACDC',
        data_root='data/acdc',
        split='test',
        condition=['fog', 'night', 'rain', 'snow'],
        pipeline=unlabelled_pipeline,
    ),
    nighttime_driving=dict(
        type='NighttimeDriving',
        data_root='data/nighttime_driving',
        split='test',
        pipeline=test_pipeline,
    ),
    bdd100k_night_val=dict(
        type='BDD100kNight', data_root='data/bdd100k', split='val', pipeline=test_pipeline
    ),
    cityscapes_val=dict(
        type='Cityscapes', data_root='data/cityscapes', split='val', pipeline=test_pipeline
    ),
    cityscapes_test=dict(
        type='Cityscapes', data_root='data/cityscapes', split='test', pipeline=unlabelled_pipeline
    ),
)
default_test_sets = ['dark_zurich_val']

val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=test_sets['dark_zurich_val'],
)
val_evaluator = dict(type='NightIoUMetric', prefix='dark_zurich_val')

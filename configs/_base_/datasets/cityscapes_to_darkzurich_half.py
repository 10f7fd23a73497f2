# The same sets at half resolution, for training and for testing: Cityscapes 512x1024, Dark Zurich
# 540x960. For testing the image alone is resized; the logits are brought to the label's own size.
_base_ = 'cityscapes_to_darkzurich.py'

train_dataloader = dict(
    dataset=dict(
        source_scale=(512, 1024),
        target_scale=(540, 960),
        crop_size=(512, 512),
        rare_class_sampling=dict(min_crop_ratio=0.5),  # DAFormer's
    )
)

_load, _pack = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
_half = dict(type='Resize', scale_factor=0.5)
# BDD100K's images are 720x1280: to 540x960 as well, as Refign tests them
_three_quarters = dict(type='Resize', scale_factor=0.75)
_label = dict(type='LoadAnnotations')

test_pipeline = [_load, _half, _label, _pack]
unlabelled_pipeline = [_load, _half, _pack]
test_sets = {
    name: dict(pipeline=unlabelled_pipeline if name.endswith('_test') else test_pipeline)
    for name in _base_.test_sets
}
test_sets['bdd100k_night_val'] = dict(pipeline=[_load, _three_quarters, _label, _pack])
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))

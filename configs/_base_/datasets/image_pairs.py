# Image pairs for dense matching; a config adds the dataset. No pair has a label or a known flow, so
# trainings are not validated: tools/test_align.py measures them.
train_dataloader = dict(
    batch_size=6,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='StepSampler'),
    collate_fn=dict(type='default_collate'),
)

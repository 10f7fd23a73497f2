# Cityscapes (day, labels) to ACDC night (with day references), at half resolution.
_base_ = 'cityscapes_to_darkzurich_half.py'

train_dataloader = dict(
    dataset=dict(
        target=dict(
            _delete_=True,
            type='ACDC',
            data_root='data/acdc',
            split='train',
            condition='night',
            with_labels=False,
        )
    )
)
default_test_sets = ['acdc_night_val']
val_dataloader = dict(dataset=dict(_delete_=True, **_base_.test_sets['acdc_night_val']))
val_evaluator = dict(prefix='acdc_night_val')

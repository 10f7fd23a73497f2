# Which classes the method mixes (the paper's table IV), by docs/protocol.md, for `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'which classes are mixed, from one trained source network'
_method = 'configs/protocol/dsr_from_source_nightscape.py'
_mixed = dict(
    nothing_mixed=('nothing mixed, no bank', ['empty_mask', 'no_bank']),
    random_classes=('random classes', ['random_mask']),
    random_and_small=('random + small classes', ['random_small_mask']),
    random_and_dynamic=('random + dynamic classes', ['random_dynamic_mask']),
)
rows = [
    *(
        dict(
            name=name,
            label=label,
            config=_method,
            overlays=[f'configs/ablations/{overlay}.py' for overlay in overlays],
        )
        for name, (label, overlays) in _mixed.items()
    ),
    *(
        dict(row, label='random + small + dynamic classes: DSR-NSS')
        for row in _base_.rows
        if row['name'] == 'with_fpa'
    ),
]

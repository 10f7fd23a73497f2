# What each choice is worth that this package made otherwise before, or that the authors' code makes
# otherwise (docs/protocol.md), for `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'one other choice at a time'
seeds = [0, 1, 2, 3]
reference = 'with_fpa'
_method = 'configs/protocol/dsr_from_source_nightscape.py'
_other = dict(
    jitter_torchvision=("torchvision's colour jitter", 'jitter_torchvision'),
    teacher_running=('teacher on running statistics', 'teacher_running'),
    night_updated=('night pass updates running statistics', 'fpa_night_updated'),
    fpa_finest_level=('prototypes on the finest encoder map', 'fpa_finest_level'),
    authors=("the step of the authors' code", 'authors'),
)
rows = [
    *(dict(row, label='DSR-NSS') for row in _base_.rows if row['name'] == 'with_fpa'),
    *(
        dict(name=name, label=label, config=_method, overlays=[f'configs/ablations/{overlay}.py'])
        for name, (label, overlay) in _other.items()
    ),
]

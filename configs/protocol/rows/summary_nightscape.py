# The method beside ClassMix, with and without its two largest effects (docs/protocol.md), for
# `tools/reproduce.py --rows-file`. It trains nothing that the other tables do not train.
_base_ = 'protocol_nightscape.py'

title = 'the method and ClassMix'
seeds = [0, 1, 2, 3]
reference = 'classmix'
detailed = False
logged = []
_method = 'configs/protocol/dsr_from_source_nightscape.py'
_labels = dict(
    classmix='ClassMix',
    with_refinement='ClassMix with the day reference',
    with_fpa='DSR-NSS',
)
_without = dict(
    no_reference=('DSR-NSS without the day reference', 'no_refinement'),
    night_cut=("DSR-NSS without the gradient of the prototypes' night pass", 'fpa_night_cut'),
)
rows = [
    *(dict(row, label=_labels[row['name']]) for row in _base_.rows if row['name'] in _labels),
    *(
        dict(name=name, label=label, config=_method, overlays=[f'configs/ablations/{overlay}.py'])
        for name, (label, overlay) in _without.items()
    ),
]

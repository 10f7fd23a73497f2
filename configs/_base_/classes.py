# The classes, stated once; the position is the id. A config with classes of its own states
# `classes = dict(names=(...))`, and if it wants `palette` and `groups` (docs/datasets.md). What is left
# out are the colours and groups of Cityscapes, as far as its classes occur. Every field that depends on
# the classes follows.
classes = dict(
    names=(
        'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
        'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
        'motorcycle', 'bicycle',
    )
)  # fmt: skip

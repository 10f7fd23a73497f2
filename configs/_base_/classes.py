# The classes (the position is the id) and the four groups of the method, by name.
class_names = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
    'motorcycle', 'bicycle',
)  # fmt: skip
large_static = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'vegetation', 'terrain', 'sky',
)  # fmt: skip
small = ('pole', 'traffic light', 'traffic sign')
dynamic = ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
long_tail = ('rider', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')

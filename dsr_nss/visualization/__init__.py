"""Labels as colours, pictures of training steps and predictions, curves.

`curves` is imported by who needs it: matplotlib takes its time.
"""

from dsr_nss.visualization.colours import colourise, overlay
from dsr_nss.visualization.panels import training_panel

__all__ = ['colourise', 'overlay', 'training_panel']

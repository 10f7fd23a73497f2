"""Labels as colours, pictures of training steps, comparisons of predictions, curves.

`curves` is imported by who needs it: matplotlib takes its time.
"""

from dsr_nss.visualization.colours import colourise, overlay
from dsr_nss.visualization.comparison import Compared, comparison_picture
from dsr_nss.visualization.panels import training_panel

__all__ = ['Compared', 'colourise', 'comparison_picture', 'overlay', 'training_panel']

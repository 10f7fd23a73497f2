"""The tables of the documents are those of the runs in `docs/measured/`, to the last digit."""

import re
import shutil
import tarfile
from pathlib import Path

import pytest

from dsr_nss.studies.tables.files import update_document
from dsr_nss.studies.tables.own_tables import own_table
from dsr_nss.studies.tables.runs import Settings
from dsr_nss.studies.tables.summary import summarise

#: The archives, and which tables are of their runs.
ARCHIVES = {
    'camvid': ('protocol_camviddusk', 'mixing_camviddusk', 'lighter_camviddusk'),
    'nightscape': ('protocol_nightscape', 'mixing_nightscape', 'lighter_nightscape'),
}
DOCUMENTS = ('tables.md', 'results_second_network.md')


@pytest.mark.parametrize('data', ARCHIVES)
def test_tables_are_those_of_the_runs(data, repo_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # without data, and rows are named as below each table
    Path('configs').symlink_to(repo_root / 'configs')
    with tarfile.open(repo_root / f'docs/measured/{data}.tar.xz') as archive:
        archive.extractall(tmp_path, filter='data')
    tables = [
        own_table(Path(f'configs/protocol/rows/{name}.py'), data).with_batch_norms(
            ['adabn', 'plain']
        )
        for name in ARCHIVES[data]
    ]
    summaries = [summarise(table, Settings(data, tmp_path)) for table in tables]
    for name in DOCUMENTS:
        text = (repo_root / 'docs' / name).read_text()
        shutil.copy(repo_root / 'docs' / name, tmp_path)
        for summary in summaries:
            place = re.escape(summary['place'])
            edges = rf'(<!-- {place}(?: main)? begin -->).*?(<!-- {place}(?: main)? end -->)'
            text, number = re.subn(edges, r'\1\n\2', text, flags=re.DOTALL)
            assert number == 1
        (tmp_path / name).write_text(text)
        update_document(tmp_path / name, summaries)
        assert (tmp_path / name).read_text() == (repo_root / 'docs' / name).read_text()


@pytest.mark.parametrize('data', ARCHIVES)
def test_what_lies_in_an_archive(data, repo_root):
    """Scores, confusion matrices, logs and configs: no weights and no pictures."""
    with tarfile.open(repo_root / f'docs/measured/{data}.tar.xz') as archive:
        kinds = {name.rpartition('.')[2] for name in archive.getnames() if '.' in name}
    assert kinds == {'json', 'npz', 'py'}

"""`tools/compare.py` trains, tests in three ways and compares; then it takes the runs as such."""

import json
import subprocess
import sys

import pytest

from tests.end_to_end.test_own_classes import FIVE, SHORT, city, write_city  # noqa: F401

pytestmark = pytest.mark.slow


@pytest.fixture
def compare(repo_root, tmp_path):
    """Runs the tool in a folder of its own; returns what it wrote and what it printed."""

    def call(*words):
        command = [sys.executable, repo_root / 'tools/compare.py', *words, '--batch-norms']
        command += ['plain', 'adabn', 'precise', '--seeds', '3', '--out', 'out']
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / 'out/comparison.json').read_text()), done.stdout

    return call


def test_from_configs_to_runs(city, compare, tmp_path):  # noqa: F811
    config = city(FIVE)
    (tmp_path / 'half.py').write_text('model = dict(alpha=0.5)')
    words = [config, '+half.py', '--cfg-options', *SHORT]
    table, said = compare(*words)
    assert '2 runs: 0 done, 2 to train, 0 to test' in said
    kinds = ('night_val', 'night_val-adabn', 'night_val-precise')
    means = [[row['sets'][kind]['mIoU'] for kind in kinds] for row in table['rows']]
    assert all(mean['count'] == 1 for row in means for mean in row)
    assert len({mean['mean'] for mean in means[0]}) == 3  # other statistics, other scores
    assert table['rows'][1]['sets']['night_val']['difference']['mean'] == pytest.approx(
        means[1][0]['mean'] - means[0][0]['mean']
    )
    assert 'mIoU_large_static' in table['rows'][0]['sets']['night_val']['means']

    again, said = compare(*words)  # the config that the trainer left is the one that was asked for
    assert '2 runs: 2 done, 0 to train, 0 to test' in said and again == table
    folders = sorted((tmp_path / 'out/runs').iterdir())
    table, said = compare(*map(str, folders))
    assert '2 runs: 2 done, 0 to train, 0 to test' in said
    taken = {row['label']: row['sets']['night_val']['mIoU'] for row in table['rows']}
    assert sorted(taken) == [str(folder) for folder in folders]
    assert {m['mean'] for m in taken.values()} == {mean[0]['mean'] for mean in means}

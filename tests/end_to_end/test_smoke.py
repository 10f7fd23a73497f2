"""`tools/train.py --smoke`: the whole way, without data, weights or anything left behind."""

import pytest


@pytest.fixture
def smoke(run_tool, repo_root, tmp_path, monkeypatch, capfd):
    """Runs the tool on a config of the checkout, where there is no data."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        capfd.readouterr()
        code = run_tool('train', repo_root / f'configs/{name}.py', '--smoke', *arguments)
        return code, ''.join(capfd.readouterr())

    return run


def test_the_papers_run(smoke, tmp_path):
    code, printed = smoke('dsr_hrda_darkzurich')
    assert code == 0, printed
    assert 'data/cityscapes' in printed and 'trains on a tiny nightscape set' in printed
    assert 'Iter 4/4' in printed and 'dark_zurich_val/mIoU' in printed
    for loss in ('loss_source', 'loss_mixed', 'loss_proto', 'loss_feature_distance'):
        assert loss in printed
    assert 'nothing of it is kept' in printed and 'Test it with' not in printed
    assert not list(tmp_path.iterdir())


def test_dense_matching_in_a_work_dir(smoke, tmp_path):
    code, printed = smoke('align/uawarpc_nightscape', '--work-dir', 'kept')
    assert code == 0, printed
    assert (tmp_path / 'kept/iter_4.pth').is_file() and 'kept keeps it' in printed
    assert 'python tools/test_align.py' in printed

"""`dsr_nss::NAME`: configs of the package, from anywhere."""

import pytest
from mmengine.config import Config

from dsr_nss.engine.config import open_config, read_config
from dsr_nss.shipped import config_file

BASE = 'dsr_nss::demo/dsr_hrda_nightscape'


@pytest.mark.parametrize('name', [BASE, f'{BASE}.py'])
def test_a_name_is_a_file_and_a_path_stays(name, repo_root):
    assert config_file(name) == repo_root / 'configs/demo/dsr_hrda_nightscape.py'
    assert str(config_file('demo/mine')) == 'demo/mine'


def test_a_config_elsewhere_inherits_and_an_overlay_is_laid_over(tmp_path, monkeypatch, repo_root):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'beside.py').write_text('gain = 3')
    (tmp_path / 'mine.py').write_text(
        f"_base_ = ['{BASE}.py', 'beside.py']\nmodel = dict(beta=0.2, alpha=_base_.model.beta)\n"
    )
    config = read_config('mine.py', overlays=['dsr_nss::ablations/no_bank'])
    original = read_config(repo_root / 'configs/demo/dsr_hrda_nightscape.py')
    assert (config.gain, config.model.beta, config.model.alpha) == (3, 0.2, original.model.beta)
    assert config.model.bank is None and original.model.bank is not None
    # a scope would send mmengine to registries that the package does not have
    assert config.model.student == original.model.student
    assert '_scope_' not in str(config._cfg_dict)
    assert open_config(BASE).model == open_config(config_file(BASE)).model


def test_a_wrong_name_is_answered_with_the_nearest(tmp_path):
    nearest = 'did you mean dsr_nss::ablations/no_bank.py'
    with pytest.raises(FileNotFoundError, match=nearest):
        read_config(BASE, overlays=['dsr_nss::ablation/no_bank'])
    with pytest.raises(FileNotFoundError, match='what comes with the package is in '):
        config_file('dsr_nss::xyz')
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'dsr_nss::dsr_hrda_darkzurch.py'")
    with pytest.raises(FileNotFoundError, match=r'mine\.py: .* did you mean dsr_nss::dsr_hrda_dar'):
        read_config(path)


def test_other_packages_are_left_to_mmengine(tmp_path):
    path = tmp_path / 'theirs.py'
    path.write_text("_base_ = 'mmnone::folder/theirs.py'")
    with pytest.raises(AssertionError, match='mmengine does not support to load mmnone config'):
        Config.fromfile(path)

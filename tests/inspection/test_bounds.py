"""Packages that another installation has replaced are named with what to do."""

from importlib import metadata

import pytest

from dsr_nss.inspection import machine_report
from dsr_nss.inspection.bounds import out_of_bounds
from dsr_nss.inspection.doctor import Report, check_environment


@pytest.fixture
def pretend(monkeypatch):
    """Makes a package pass for another version."""
    true_version = metadata.version

    def install(name, version):
        monkeypatch.setattr(
            metadata, 'version', lambda asked: version if asked == name else true_version(asked)
        )

    return install


def test_what_is_installed_is_within_the_bounds():
    assert list(out_of_bounds()) == []


def test_an_older_package_is_a_problem_with_the_command_that_mends_it(pretend, monkeypatch):
    # it remembers the versions, for other tests too
    monkeypatch.setattr(machine_report, 'describe_environment', dict)
    pretend('torch', '1.13.1+cu117')
    (sentence, needed), *others = out_of_bounds()
    assert sentence.startswith('torch 1.13.1+cu117 is installed, but dsr_nss needs torch>=')
    assert "`pip install 'torch>=" in sentence and needed and not others
    report = Report()
    check_environment(report)
    assert report.problems == [sentence]
    assert f'problem: {sentence}' in machine_report.machine_report().splitlines()


def test_an_older_package_of_an_extra_is_a_note(pretend):
    pretend('onnx', '1.2')
    report = Report()
    check_environment(report)
    assert report.problems == []
    assert any(line.startswith('  note: onnx 1.2 is installed') for line in report.lines)


def test_tools_of_developers_and_versions_before_a_release_are_no_problem(pretend):
    pretend('ruff', '0.1')
    assert list(out_of_bounds()) == []
    pretend('torch', '99.0.0.dev20300101+cpu')
    assert list(out_of_bounds()) == []


def test_a_checkout_that_is_not_installed_declares_nothing(monkeypatch, pretend):
    def metadata_of(name):
        raise metadata.PackageNotFoundError(name)

    pretend('torch', '1.13.1')
    monkeypatch.setattr(metadata, 'metadata', metadata_of)
    assert list(out_of_bounds()) == []

"""Work on many files."""

import torch

from dsr_nss.pool import map_files


def threads(_: int) -> int:
    return torch.get_num_threads()


def test_processes_that_are_as_many_as_cores_have_one_thread_each():
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # processes inherit it
    try:
        found = map_files(threads, range(4), workers=2, description='', show_progress=False)
    finally:
        torch.set_num_threads(before)
    assert found == [1] * 4

"""What importing the package does besides registering its classes: nothing."""

import subprocess
import sys

#: transformers stays importable, for peft needs it.
PROGRAM = """
import dsr_nss, sys
assert 'transformers' not in sys.modules
import transformers
assert transformers.__version__
"""


def test_it_prints_nothing_and_leaves_transformers_alone(repo_root):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], cwd=repo_root, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')

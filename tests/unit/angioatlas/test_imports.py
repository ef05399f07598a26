"""What is loaded, and when: who searches does not wait for the estimators of studies."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("lifelines", "plotly", "sklearn", "sksurv", "statsmodels", "torch", "umap")


def test_the_atlas_is_imported_without_estimators():
    script = f"""
import json, sys
import angioatlas.atlas
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_arrow_is_told_to_give_memory_back_before_it_is_loaded():
    script = """
import os, sys
import angioatlas.cli
print(os.environ["MIMALLOC_PURGE_DELAY"], "pyarrow" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["100", "False"]

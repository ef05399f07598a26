"""Who searches does not wait for the estimators of studies."""

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

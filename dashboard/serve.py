"""Serve the pages, as `angioatlas dashboard` does: python -m dashboard.serve OPTIONS-OF-STREAMLIT.

Streamlit runs nothing of ours before somebody looks.  The first who do would wait for an atlas to
be opened, and for libraries: so both begin with the server.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from threading import Thread

from streamlit import net_util
from streamlit.web import cli

from core.errors import AtlasError
from dashboard.session import opened

_APP = Path(__file__).with_name("app.py")


def main() -> None:
    """Serve until a signal ends it."""
    # It warns that no session asks for what is made ready.
    name = "streamlit.runtime.scriptrunner_utils.script_run_context"
    logging.getLogger(name).setLevel(logging.ERROR)
    # Called by a page of an unknown origin, Streamlit would ask a service elsewhere what this
    # machine is called there, in case the origin is that: here it is none that is answered.
    net_util._external_ip = "unknown.invalid"
    Thread(target=_make_ready, daemon=True).start()
    sys.argv = ["streamlit", "run", str(_APP), *sys.argv[1:]]
    cli.main(prog_name="streamlit")


def _make_ready() -> None:
    try:
        opened().prepare_pictures()
    except AtlasError as error:  # the first page says so, with the next step
        logging.getLogger(__name__).error("the atlas cannot be opened: %s", error.message)


if __name__ == "__main__":
    main()

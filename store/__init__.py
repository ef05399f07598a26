"""LanceDB tables, commits and snapshots: the only code that knows how rows are kept."""

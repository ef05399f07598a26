"""Several connections of one process, and another process beside them, lose nothing."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core.sqlite import connect, transaction

ANOTHER = "; ".join(
    (
        "import sys",
        "from pathlib import Path",
        "from core.sqlite import connect",
        "c = connect(Path(sys.argv[1]))",
        "print(*(row[0] for row in c.execute(sys.argv[2])))",
        "c.close()",
    )
)


def elsewhere(path: Path, statement: str) -> str:
    """Run a statement in a process that opens the file, and closes it as its last user may."""
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER, str(path), statement],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.sqlite"


def test_a_second_connection_does_not_drop_the_locks_of_the_first(path):
    with closing(connect(path)) as first:
        first.execute("CREATE TABLE t (x TEXT)")
        with closing(connect(path)) as second:
            # Who closes a file as its last user removes the journal, which the others still need.
            elsewhere(path, "INSERT INTO t VALUES ('theirs') RETURNING x")
            with transaction(first):
                first.execute("INSERT INTO t VALUES ('ours')")
            assert second.execute("SELECT count(*) FROM t").fetchone() == (2,)
            assert elsewhere(path, "SELECT x FROM t ORDER BY x") == "ours theirs"


def test_the_file_is_for_its_owner_alone(path):
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE t (x TEXT)")
        modes = {name.name: name.stat().st_mode & 0o777 for name in path.parent.iterdir()}
    assert modes == {f"some.sqlite{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_a_file_that_is_there_keeps_its_mode(path):
    path.touch(0o640)
    path.chmod(0o640)
    connect(path).close()
    assert path.stat().st_mode & 0o777 == 0o640

"""Files are read through runtime/files.py, which bounds them and waits for nobody."""

from __future__ import annotations

import re

from support.repository import files, relative

_READS = re.compile(
    r"\.read_text\(|\.read_bytes\(|\bopen\(\"r|\.open\(\"r|\.open\(\)|(?<!def )(?<![\w.])open\(|\bos\.fdopen\("
)

OTHERS = {
    "services/wgmesh/runtime/files.py": "the one place",
    "services/wgmesh/runtime/process_stats.py": "/proc/self, which the kernel writes",
    "services/wgmesh/runtime/supervisor_socket.py": "/proc/net, which the kernel writes",
    "services/wgmesh/nat/portmapping/io/session.py": "/proc/net, which the kernel writes",
    "services/wgmesh/wireguard/io/backend.py": "/proc/net, which the kernel writes",
    "services/wgmesh/supervisor/io/privileges.py": "a pipe from its own child",
    "services/wgmesh/supervisor/io/socket_owner.py": "the identity of an earlier life, which is another user's still",
    "services/wgmesh/wireguard/io/resolvers.py": "the host's name servers; their file may be the resolver's",
    "clients/wgmesh/cli/secret_reading.py": "a pipe from its own child",
    "clients/wgmesh/cli/capabilities.py": "/proc/self, which the kernel writes",
    "clients/wgmesh/cli/process_end.py": "/proc of the supervisor, which the kernel writes",
    "clients/wgmesh/cli/private_files.py": "creates a new file",
    "clients/wgmesh/cli/app.py": "/dev/null",
    "clients/wgmesh/demo/pinger.py": "the demonstration's own namespaces",
    "clients/wgmesh/demo/nodes.py": "/proc of the demonstration's own processes",
    "clients/wgmesh/demo/process.py": "the demonstration's own logs",
}


def test_no_module_reads_a_file_that_others_can_write_by_itself() -> None:
    sources = [path for path in files("*.py") if relative(path).startswith(("services/", "clients/"))]
    reading = {relative(path) for path in sources if _READS.search(path.read_text())}
    assert reading == set(OTHERS)

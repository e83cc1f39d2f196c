"""The name servers of this host, in its files."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from wgmesh.core.model import IPAddress
from wgmesh.wireguard.io.resolvers import FILE_BYTES_MAX, Resolvers
from wgmesh.wireguard.name_servers import NAME_SERVERS_MAX, name_servers


def addresses(*texts: str) -> frozenset[IPAddress]:
    return frozenset(map(ipaddress.ip_address, texts))


def test_the_addresses_of_nameserver_lines_count_and_nothing_else() -> None:
    text = (
        "# nameserver 1.1.1.1\nsearch nameserver\nnameserver 192.0.2.53 # ours\n\tnameserver\tfe80::1%eth0\n"
        "nameserver\nnameserver ns.example.org\nnameserver ::ffff:192.0.2.54\noptions nameserver 9.9.9.9\n"
    )

    assert name_servers(text) == addresses("192.0.2.53", "fe80::1", "192.0.2.54")


def test_a_file_with_too_many_servers_is_not_followed_to_its_end() -> None:
    text = "".join(f"nameserver 192.0.2.{number}\n" for number in range(200))

    assert len(name_servers(text)) == NAME_SERVERS_MAX


def test_all_files_are_read_and_one_that_changes_is_read_again(tmp_path: Path) -> None:
    stub, real = tmp_path / "resolv.conf", tmp_path / "upstream.conf"
    stub.write_text("nameserver 127.0.0.53\n")
    resolvers = Resolvers((stub, real))
    assert resolvers.addresses() == addresses("127.0.0.53")

    real.write_text("nameserver 192.0.2.53\n")
    assert resolvers.addresses() == addresses("127.0.0.53", "192.0.2.53")

    real.write_text("nameserver 198.51.100.53\n")
    assert resolvers.addresses() == addresses("127.0.0.53", "198.51.100.53")

    real.unlink()
    assert resolvers.addresses() == addresses("127.0.0.53")


def test_what_is_no_plain_file_is_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert Resolvers((pipe, tmp_path)).addresses() == frozenset()


def test_of_a_file_of_any_size_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.53\n" + " " * FILE_BYTES_MAX + "\nnameserver 192.0.2.54\n")

    assert Resolvers((path,)).addresses() == addresses("192.0.2.53")

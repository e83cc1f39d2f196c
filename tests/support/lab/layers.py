"""What a node's command line says of one of its layers."""

import json

from wgmesh.demo.nodes import MeshNode


def layer_detail(node: MeshNode, name: str) -> str:
    """The detail that `wgmesh status` shows for this layer, "" while the node has none to show.

    A node that starts answers before its discovery process has told it of any layer.
    """
    shown = node.cli("status", "--json")
    layers = json.loads(shown.stdout)["layers"] if shown.returncode == 0 else []
    return str(next((each["detail"] for each in layers if each["name"] == name), ""))

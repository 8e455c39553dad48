"""A modifier that marks what a scan does not show: a mask for other modifiers and shaders, and a material. The mesh
itself stays as it is."""

from __future__ import annotations

from typing import Any

import bpy

from . import mesh_io

NAME = "Omomi No Data"
"""Of the modifier, of its nodes and of the material."""
MASK = "omomi_no_data"
"""Point attribute of what the modifier puts out: 1 where there is no data, else 0."""
LIMIT, MATERIAL = "Error Above", "Material"
"""Inputs of the modifier: the standard deviation (world units of the mesh) from which a place counts as guessed, and
what it is shown with."""
COLOUR = (0.85, 0.05, 0.55, 1.0)
"""Linear; no colour of the ramp of a check."""


def find(obj: Any) -> Any | None:
    """The modifier of an object that marks what the scan does not show."""
    return next((item for item in obj.modifiers if item.type == "NODES" and _is_ours(item.node_group)), None)


def add(obj: Any) -> Any:
    """Mark what the scan of a result does not show: what was invented, and where the error to expect is that of a
    guess."""
    modifier = obj.modifiers.new(NAME, "NODES")
    group: Any = next(filter(_is_ours, bpy.data.node_groups), None) or _nodes()
    modifier.node_group = group
    sockets = {item.name: item.identifier for item in group.interface.items_tree}
    # the sigma of a mesh is in world units, whatever the scale of its object
    _give(modifier, sockets[LIMIT], mesh_io.GUESSED * max(obj.dimensions))
    _give(modifier, sockets[MATERIAL], bpy.data.materials.get(NAME) or _material())
    obj.data.update_tag()
    return modifier


def _is_ours(group: Any) -> bool:
    """Whether these are the nodes of the modifier, with the inputs that it needs."""
    if group is None or not group.name.startswith(NAME):
        return False
    return {LIMIT, MATERIAL} <= {item.name for item in group.interface.items_tree}


def _give(modifier: Any, socket: str, value: Any) -> None:
    """Set an input of a modifier. Blender 5.2 keeps it elsewhere than those before."""
    inputs = getattr(getattr(modifier, "properties", None), "inputs", None)
    if inputs is None:
        modifier[socket] = value
    else:
        getattr(inputs, socket).value = value


def _material() -> Any:
    made: Any = bpy.data.materials.new(NAME)
    made.diffuse_color = COLOUR
    if made.node_tree is None:
        made.use_nodes = True
    nodes: Any = made.node_tree
    shader = next(node for node in nodes.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = COLOUR
    shader.inputs["Roughness"].default_value = 1.0
    return made


def _nodes() -> Any:
    group: Any = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    group.is_modifier = True
    socket, nodes = group.interface.new_socket, group.nodes
    socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    limit = socket(LIMIT, in_out="INPUT", socket_type="NodeSocketFloat")
    limit.subtype, limit.min_value = "DISTANCE", 0.0
    limit.description = "Places with a larger standard deviation count as guessed"
    socket(MATERIAL, in_out="INPUT", socket_type="NodeSocketMaterial")
    socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    given, result = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    invented, sigma = (nodes.new("GeometryNodeInputNamedAttribute") for _ in range(2))
    invented.data_type, invented.inputs["Name"].default_value = "BOOLEAN", mesh_io.INVENTED
    sigma.data_type, sigma.inputs["Name"].default_value = "FLOAT", mesh_io.SIGMA
    above, either = nodes.new("FunctionNodeCompare"), nodes.new("FunctionNodeBooleanMath")
    above.data_type, above.operation, either.operation = "FLOAT", "GREATER_THAN", "OR"
    store, paint = nodes.new("GeometryNodeStoreNamedAttribute"), nodes.new("GeometryNodeSetMaterial")
    store.data_type, store.domain, store.inputs["Name"].default_value = "FLOAT", "POINT", MASK
    chain = (
        (_output(sigma), above.inputs[0]), (given.outputs[LIMIT], above.inputs[1]),
        (_output(invented), either.inputs[0]), (above.outputs[0], either.inputs[1]),
        (given.outputs["Geometry"], store.inputs["Geometry"]), (either.outputs[0], _input(store, "Value")),
        (store.outputs["Geometry"], paint.inputs["Geometry"]), (either.outputs[0], paint.inputs["Selection"]),
        (given.outputs[MATERIAL], paint.inputs["Material"]), (paint.outputs["Geometry"], result.inputs["Geometry"]),
    )  # fmt: skip
    for start, end in chain:
        group.links.new(start, end)
    for number, node in enumerate((given, invented, sigma, above, either, store, paint, result)):
        node.location = (220.0 * number, 0.0)
    return group


def _output(attribute: Any) -> Any:
    """The output of a named attribute that has its type; the others are hidden."""
    return next(item for item in attribute.outputs if item.name == "Attribute" and item.enabled)


def _input(node: Any, name: str) -> Any:
    return next(item for item in node.inputs if item.name == name and item.enabled)

"""Meshes of the backend -> the scene. The scan is never lost: it is hidden, or its mesh is kept under another name."""

from __future__ import annotations

from typing import Any

import bpy

from ..context import context
from ..session import edits
from ..session.backend_fit import FitSettings
from . import fit_origin, fit_provenance, measures, mesh_io, preview, shape_key
from .draft import CHECKSUM, Draft, checksum

IMAGINED = "omomi_imagined"
"""Property of the collection of shapes that the model made up."""
GROUP = "omomi_group"
"""Property of the collection of a scan and its results."""


def why_not_replace(obj: Any) -> str | None:
    """The reason why this object cannot be given another mesh, or None."""
    if obj.library is not None:
        return f"{obj.name} is linked from another file, so its mesh cannot be replaced. Choose New mesh as the result."
    if obj.override_library is not None:
        return f"{obj.name} is a library override, so its mesh cannot be replaced. Choose New mesh as the result."
    if obj.mode == "EDIT":
        return f"{obj.name} is in Edit Mode, so its mesh cannot be replaced. Leave it with Tab, then press Fit."
    # which would write its own mesh over the other one in the end
    return mesh_io.why_not_read(obj)


def why_not_refit(fit: Any) -> str | None:
    """The reason why the scan of this fit cannot be fitted again, or None."""
    if fit.library is not None or fit.override_library is not None:
        return f"{fit.name} is linked from another file. Fit its scan again."
    if not mesh_io.in_view(fit):
        return f"{fit.name} is not in this view layer. Show it first."
    return why_not_replace(fit)


def place(source: Any, draft: Draft, *, replace: bool, suffix: str = "fit", settings: FitSettings | None = None) -> Any:
    """Put the result over ``source``, as NAME.suffix or in its place, and return the object that shows it.

    A fit, which comes with its ``settings``, saw the mesh as its modifiers show it, so the result has none of them. An
    edit saw the object's own mesh, so the modifiers stay.
    """
    mesh = _mesh(source, draft, f"{source.name}.{suffix}")
    keep, original = suffix == "edit", source.data
    acting = [modifier.name for modifier in source.modifiers if modifier.show_viewport]
    level = fit_origin.level_of(source, int(context.scene.omomi.level))
    target = _replace(source, mesh, keep) if replace else _add(source, mesh, suffix, keep, hidden=True)
    if settings is None:
        fit_provenance.clear(target)
        target.omomi.origin.level = str(level)
    elif replace:
        fit_provenance.note(target, settings, None, original, acting)
    else:
        fit_provenance.note(target, settings, source, None, [])
    edits.settle(target, new_mesh=True)
    return target


def place_again(fit: Any, draft: Draft, settings: FitSettings) -> Any:
    """Give a fit a new mesh from its scan, and return its object. The strengths of its edits stay: they have not been
    applied to this mesh. Where the artist has changed the old mesh, or given it shape keys, it is kept in the file."""
    origin, old = fit.omomi.origin, fit.data
    source = origin.mesh or origin.scan.data
    mesh = draft.take(old.name)
    _give_materials(mesh, draft, source)
    if is_changed(old):
        keep_mesh(fit)
    fit.data = mesh
    fit_provenance.note(fit, settings, origin.scan, origin.mesh, origin.modifiers.splitlines())
    measures.note(fit, {})
    if not old.users:
        bpy.data.meshes.remove(old)
        mesh.name = fit.name
    activate(fit)
    return fit


def new(draft: Draft, name: str, place: tuple[float, float, float]) -> Any:
    """A new object that shows a mesh that no scan is behind, at this place, selected and active."""
    obj: Any = bpy.data.objects.new(name, draft.take(name))
    obj.location, obj.omomi.origin.level = place, context.scene.omomi.level
    preview.marked_collection(IMAGINED, "Imagined").objects.link(obj)
    activate(obj)
    return obj


def double(result: Any, draft: Draft, name: str) -> Any:
    """A copy of the object of a fit with another mesh and without edits. It is in no collection yet."""
    mesh = _mesh(result, draft, name)
    copy = _bare(result, mesh, keep_modifiers=False)
    copy.name = name
    copy.omomi.edits.clear()
    copy.omomi.report = copy.omomi.check = ""
    return copy


def is_changed(mesh: Any) -> bool:
    """Whether the mesh of a fit is no longer as it was made."""
    return not shape_key.is_all(mesh) or mesh.get(CHECKSUM) != checksum(mesh_io.rest_shape(mesh), len(mesh.polygons))


def keep_mesh(obj: Any) -> None:
    """Keep the mesh of an object in the file when the object gets another."""
    mesh = obj.data
    if mesh.library is None:
        mesh.use_fake_user = True
        # Another object may still use the mesh, which then keeps its name.
        if mesh.users <= 2:
            mesh.name = f"{obj.name}.original"


def _mesh(source: Any, draft: Draft, name: str) -> Any:
    mesh = draft.take(name)
    _give_materials(mesh, draft, source.data)
    return mesh


def _give_materials(mesh: Any, draft: Draft, source: Any) -> None:
    """Give a mesh the materials of the mesh that it comes from, unless it wears those already."""
    for material in source.materials if draft.worn is None else ():
        mesh.materials.append(material)


def _replace(source: Any, mesh: Any, keep_modifiers: bool) -> Any:
    keep_mesh(source)
    source.data = mesh
    for modifier in () if keep_modifiers else source.modifiers:
        modifier.show_viewport = modifier.show_render = False
    return source


def _add(source: Any, mesh: Any, suffix: str, keep_modifiers: bool, hidden: bool) -> Any:
    result = _bare(source, mesh, keep_modifiers)
    result.name = f"{source.name}.{suffix}"
    for collection in _grouped(source):
        collection.objects.link(result)
    if hidden:
        hide(source)
    activate(result)
    return result


def _grouped(source: Any) -> list[Any]:
    """The collections of an object and of what is made of it: one of its name within each that holds it, so that what
    hides that hides all of them."""
    found = []
    for home in mesh_io.homes(source):
        group = home
        if GROUP not in home and home in source.users_collection:
            group = bpy.data.collections.new(source.name)
            group[GROUP] = True
            home.children.link(group)
            group.objects.link(source)
            home.objects.unlink(source)
        found.append(group)
    return found


def copy_with(source: Any, mesh: Any, suffix: str) -> Any:
    """A copy NAME.suffix of an object that shows another mesh, without modifiers and vertex groups, selected and
    active."""
    made = _add(source, mesh, suffix, keep_modifiers=False, hidden=False)
    made.vertex_groups.clear()
    return made


def activate(obj: Any) -> None:
    """Select an object and make it active, unless its collection was excluded or its scene left meanwhile."""
    if mesh_io.in_view(obj):
        obj.select_set(True)
        context.view_layer.objects.active = obj


def hide(obj: Any) -> None:
    """Hide an object in the view and in renders."""
    if mesh_io.in_view(obj):
        obj.select_set(False)
        obj.hide_set(True)
    if obj.library is None:
        obj.hide_render = True


def _bare(source: Any, mesh: Any, keep_modifiers: bool) -> Any:
    # A copy has the same parent, constraints, animation and delta transforms: it stays over the scan.
    copy = source.copy()
    if copy.override_library is not None:
        # An override could hold no mesh of its own.
        copy = copy.make_local(clear_liboverride=True)
    copy.data = mesh
    if not keep_modifiers:
        copy.modifiers.clear()
    copy.omomi.completes = None
    fit_provenance.clear(copy)
    return copy

"""A change of topology in an artist's words: pieces, tunnels, hollows, and holes in the surface."""

from __future__ import annotations

from .topology import Betti

_Forms = tuple[str, str]
_TEXTS: dict[str, dict[bool | None, tuple[_Forms, _Forms]]] = {
    # by whether the solid grows there: fewer (one, several), more (one, several)
    "piece": {
        True: (("pieces join", "pieces join"), ("a new piece appears", "{} new pieces appear")),
        False: (("a piece vanishes", "{} pieces vanish"), ("a piece splits off", "{} pieces split off")),
        None: (
            ("pieces join or vanish", "pieces join or vanish"),
            ("pieces split off or appear", "pieces split off or appear"),
        ),
    },
    "tunnel": {
        True: (
            ("a tunnel through it closes", "{} tunnels through it close"),
            ("its parts touch around a new tunnel through it", "its parts touch around {} new tunnels through it"),
        ),
        False: (
            ("the rim of a tunnel through it breaks", "the rims of {} tunnels through it break"),
            ("a tunnel through it opens", "{} tunnels through it open"),
        ),
        None: (
            ("a tunnel through it closes", "{} tunnels through it close"),
            ("a tunnel through it opens", "{} tunnels through it open"),
        ),
    },
    "hollow": {
        True: (
            ("a hollow inside fills up", "{} hollows inside fill up"),
            ("a hollow inside is closed off", "{} hollows inside are closed off"),
        ),
        False: (
            ("a hollow inside is opened", "{} hollows inside are opened"),
            ("a hollow forms inside", "{} hollows form inside"),
        ),
        None: (
            ("a hollow inside opens or fills up", "{} hollows inside open or fill up"),
            ("a hollow inside is closed off", "{} hollows inside are closed off"),
        ),
    },
    "hole": {
        None: (
            ("a hole in the surface closes", "{} holes in the surface close"),
            ("a hole in the surface opens", "{} holes in the surface open"),
        ),
    },
}


def describe(before: Betti, after: Betti, loops: tuple[int, int] | None = None, grows: bool | None = None) -> str:
    """One sentence on what changes between two solids.

    A tunnel goes through a solid; a hollow is enclosed in it. loops: boundary loops of the meshes before and after;
    with them the sentence also names holes in the surface, where an open mesh ends. grows: whether the solid gains
    material where it changes, if known: it distinguishes joining from vanishing, and closing from breaking.
    """
    counts = [("piece", before.b0, after.b0), ("tunnel", before.b1, after.b1), ("hollow", before.b2, after.b2)]
    clauses = [_clause(name, old, new, grows) for name, old, new in counts if old != new]
    if loops is not None and loops[0] != loops[1]:
        clauses.append(_clause("hole", *loops, None))
    if clauses:
        sentence = " and ".join(filter(None, [", ".join(clauses[:-1]), clauses[-1]]))
    else:
        sentence = "nothing changes: " + in_words(after)
    return sentence[0].upper() + sentence[1:] + "."


def in_words(betti: Betti) -> str:
    """For example "1 piece, 2 tunnels, no hollow"."""
    names = zip(betti, ("piece", "tunnel", "hollow"), strict=True)
    return ", ".join(f"{count or 'no'} {name}{'s' * (count > 1)}" for count, name in names)


def _clause(name: str, before: int, after: int, grows: bool | None) -> str:
    one, several = _TEXTS[name][grows][after > before]
    count = abs(after - before)
    text = one if count == 1 else several.format(count)
    return f"{text} ({before} before, {after} after)"

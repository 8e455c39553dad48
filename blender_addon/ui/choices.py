"""What an artist chooses from: identifiers, names and tooltips of enumerations."""

from __future__ import annotations

LEVELS = [
    (str(level), f"{side}\u00b3", f"{side} voxels along the longest side; {note}", level)
    for level, (side, note) in enumerate((
        (32, "a first idea"), (64, "rough"), (128, "the usual choice"), (256, "fine"), (512, "very fine, slow"),
        (1024, "needs much memory"),
    ))
]  # fmt: skip
# The names are those of `fit_options.KINDS`.
READ_AS = [
    ("auto", "Auto", "Find out what the mesh is. The panel says what it was read as, and why", 0),
    ("scan", "Scan", "A noisy scan, open or in pieces, of a thing with an inside. The fit smooths the noise and closes "
     "what nobody saw", 1),
    ("solid", "Solid", "A model made of closed parts that may overlap, as of boxes pushed into each other. The fit is "
     "the outside of all of them together; what lies inside goes", 2),
    ("sheet", "Sheet", "A surface that is meant to stay open, as a terrain, cloth or a leaf. Holes in it are closed, "
     "its outer border stays where it is, and the fit is an open mesh", 3),
]  # fmt: skip
# The names are those of `requests.Close`.
CLOSES = [
    ("auto", "Auto", "The best for each hole: flat or smooth where the surface runs straight on, else what the fit or "
     "the other side of a symmetric mesh shows there", 0),
    ("flat", "Flat", "As flat as the border of the hole allows", 1),
    ("smooth", "Smooth", "Go on as the surface around the hole does", 2),
    ("model", "Model", "What the fitted surface shows there, also where the surface around runs straight on", 3),
]  # fmt: skip
RESULTS = [
    ("SHAPE_KEY", "Shape key", "Edits move the object's own vertices, as a shape key; a fit makes a new mesh"),
    ("NEW", "New mesh", "Make a new object NAME.fit or NAME.edit in the same place and hide the scan"),
    ("REPLACE", "Replace", "Give the scan's object the new mesh; the old mesh is kept as NAME.original"),
]
KINDS = [
    ("attribute", "Attribute", "Acts on any scan"),
    ("shape", "Shape", "Changes the whole shape along a direction in which shapes differ"),
    ("learned", "Learned", "Learned from examples, kept in a file"),
]

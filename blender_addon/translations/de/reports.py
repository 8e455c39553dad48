"""German for what is reported: why something cannot be done, and what came of it."""

TEXTS = {
    # Why something cannot be started
    "Omomi is working; press Esc to cancel that first": "Omomi arbeitet; zuerst mit Esc abbrechen",
    "A fit is running; press Esc to cancel it first": "Eine Anpassung läuft; zuerst mit Esc abbrechen",
    "Leave Edit Mode first (Tab)": "Zuerst den Bearbeitungsmodus verlassen (Tab)",
    "Leave Edit Mode first (Tab), then Fit": "Zuerst den Bearbeitungsmodus verlassen (Tab), dann anpassen",
    "Select at least one mesh or point cloud to fit": "Mindestens ein Mesh oder eine Punktwolke zum Anpassen auswählen",
    "Select at least one mesh object": "Mindestens ein Mesh-Objekt auswählen",
    "Add an edit first": "Zuerst eine Bearbeitung hinzufügen",

    # Reports
    "{num} of {num2}: {text}": "{num} von {num2}: {text}",
    "reading the mesh": "liest das Mesh",
    "making the new mesh": "erstellt das neue Mesh",
    "A fit: about {num} faces at {num2}³": "Eine Anpassung: etwa {num} Flächen bei {num2}³",
    "Its {num} points were thinned to {num2}, {num3} along each voxel":
        "Seine {num} Punkte wurden auf {num2} ausgedünnt, {num3} entlang jedes Voxels",
    "{num} of its {num2} points are used, chosen at random":
        "{num} von {num2} Punkten werden verwendet, zufällig gewählt",
    "On {name} of the surface there are too few points for this Detail: it is smooth there":
        "Auf {name} der Oberfläche gibt es für diesen Detailgrad zu wenige Punkte: dort ist sie glatt",
    "A small tunnel through what was not measured was closed":
        "Ein kleiner Tunnel durch nicht Gemessenes wurde geschlossen",
    "{num} small tunnels through what was not measured were closed":
        "{num} kleine Tunnel durch nicht Gemessenes wurden geschlossen",
    "{name} ({num} of {num2}): {text}": "{name} ({num} von {num2}): {text}",
    "{name}: {num} vertices in {num2} s": "{name}: {num} Punkte in {num2} s",
    "{text}; what was not seen follows {text2}": "{text}. Was nicht zu sehen war, folgt: {text2}",
    "mirror symmetry ({text})": "Spiegelsymmetrie ({text})",
    "the axis about which {name} of the seen surface is turned":
        "die Achse, um die {name} der sichtbaren Oberfläche gedreht sind",
    "{name} of the seen surface meets its mirror image, {name2} speaks against it":
        "{name} der sichtbaren Oberfläche treffen ihr Spiegelbild, {name2} sprechen dagegen",
    "{num} mirror planes (across each, {text}, and at most {name} speaks against it)":
        "{num} Spiegelebenen (an jeder {text}, und höchstens {name} sprechen dagegen)",
    "at least {name} of the seen surface meets its mirror image":
        "treffen mindestens {name} der sichtbaren Oberfläche ihr Spiegelbild",
    "a flat base": "ein flacher Boden",
    "a smooth surface where nothing else is known": "eine glatte Fläche, wo sonst nichts bekannt ist",
    "the thickness of its walls": "die Dicke der Wände",
    "the family's profile": "das Profil der Familie",
    "Read as a {text}: {text2}": "Gelesen als {text}: {text2}",
    "Read as a {text}": "Gelesen als {text}",
    "scan": "Scan",
    "solid": "Körper",
    "sheet": "Fläche",
    "an open mesh": "ein offenes Mesh",
    "bare points": "nur Punkte",
    "as asked": "wie verlangt",
    "an open surface that faces one way, up to its border":
        "eine offene Fläche, die bis zum Rand in eine Richtung weist",
    "1 closed part": "1 geschlossener Teil",
    "{num} closed parts": "{num} geschlossene Teile",
    "{num} of them overlap or lie inside others": "{num} davon überlappen sich oder liegen in anderen",
    "it overlaps itself": "es überlappt sich selbst",
    "it has walls inside": "es hat Wände im Inneren",
    "the union is fitted": "angepasst ist die Vereinigung",
    "its outside is fitted": "angepasst ist die Außenseite",
    "closed": "geschlossen",
    "{num} % of the vertices moved, by {length} at most": "{num} % der Punkte sind bewegt, um höchstens {length}",
    "{text}; {text2}, as before": "{text}; {text2}, wie zuvor",
    "Topology: {text}": "Topologie: {text}",
    "The topology is unstable: it depends on the resolution":
        "Die Topologie ist instabil: Sie hängt von der Auflösung ab",
    "Learned '{name}' from 1 pair": "„{name}“ aus 1 Paar gelernt",
    "Learned '{name}' from {num} pairs": "„{name}“ aus {num} Paaren gelernt",
    "It moves the surface and keeps its vertices": "Sie bewegt die Oberfläche und behält ihre Punkte",
    "The network makes its new meshes: the examples change the topology, or a movement does worse":
        "Das Netz macht ihre neuen Meshes: Die Beispiele ändern die Topologie, oder eine Bewegung ist schlechter",
    "{name} makes more than a movement of the surface: it needs a new mesh of the fit":
        "{name} bewegt mehr als die Oberfläche: Es braucht ein neues Mesh der Anpassung",
    "{name}: safe from {num} to {num2} %": "{name}: sicher von {num} bis {num2} %",
    "{name}: strength {num}": "{name}: Stärke {num}",
    "{text}, measured {value}": "{text}, gemessen {value}",
    "plausibility {num}: {num2} % of real shapes are no more usual":
        "Plausibilität {num}: {num2} % der wirklichen Formen sind nicht üblicher",
    "the edits push the surface through itself: {num} % of the shape":
        "Die Bearbeitungen drücken die Oberfläche durch sich selbst: {num} % der Form",
    "most like: {name}": "am ähnlichsten: {name}",
    "typical {num} for {name}": "typisch {num} für {name}",
    "not compared with {name}: {text}": "nicht mit {name} verglichen: {text}",
    "{text}, {num} % of the surface departs": "{text}, {num} % der Oberfläche weichen ab",
    "{name}: {num} members": "{name}: {num} Mitglieder",
    "{text}, explains {num} % of how they differ": "{text}, erklärt {num} % ihrer Unterschiede",
    "left out {name}: {text}": "ausgelassen {name}: {text}",
    "There is nothing to show yet. Press Check first.": "Es gibt noch nichts anzuzeigen. Zuerst „Prüfen“ drücken.",
    "Press Fit": "„Anpassen“ drücken",
    "Press {text}": "„{text}“ drücken",
    "Move the slider": "Den Regler bewegen",
    "The job was cancelled": "Der Auftrag wurde abgebrochen",
    "{text} to start again": "Für einen neuen Anlauf {text}",
    "There was not enough memory": "Der Speicher reichte nicht",
    "Choose a lower detail, or close other programs": "Ein geringeres Detail wählen oder andere Programme schließen",
}  # fmt: skip

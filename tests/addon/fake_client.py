"""A client whose backend is a few lines of numpy in the same process, so that a test decides what it answers and when.

An edit moves vertices outwards from the middle of the body, by its own share of 0.1 at strength 1 times its mask. A
learned edit with "legs" in its name moves those next to its places: four vertices of the scan.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tests.fake_server import sphere


def border_loops(faces: np.ndarray) -> list[np.ndarray]:
    """The borders of triangles, each through vertices in the order in which faces that fill it run."""
    edges = {(int(a), int(b)) for a, b in np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])}
    after = {b: a for a, b in edges if (b, a) not in edges}
    loops = []
    while after:
        loop = [min(after)]
        while (following := after.pop(loop[-1])) != loop[0]:
            loop.append(following)
        loops.append(np.array(loop))
    return sorted(loops, key=lambda loop: (0 in loop, -len(loop)))


SHARES = {"thickness": 1.0, "smoothness": -0.5, "detail": 0.25, "sharpness": 2.0}


class FakeClient:
    """Answers at the next `poll`. ``failures``: kind of request -> errors to answer with, one each; ``slow``: kinds
    that get no answer until taken out; ``requests``: everything that was asked for, as (kind, number, fields);
    ``legs``: the numbers of these vertices, in the order in which they are found; ``shown``: of a sweep;
    ``stranger``: why a check finds that a scan is none of its family; ``notes``: what is said of every transfer."""

    def __init__(self, protocol: Any, errors: Any) -> None:
        self.pid = 1
        self.hello = None
        self.failure = None
        self.failures: dict[str, list[Any]] = {}
        self.slow: set[str] = set()
        self.requests: list[tuple[str, int, dict[str, Any]]] = []
        self.cancelled: list[int] = []
        self.forgotten: list[int] = []
        self.legs = [0, 2, 4, 6]
        self.notes: list[str] = []
        self.stranger = ""
        self.shown: list[float] | None = None
        self._protocol = protocol
        self._errors = errors
        self._numbers = itertools.count(1)
        self._waiting: list[tuple[str, int, dict[str, Any]]] = []
        self._events: list[Any] = []
        self._scans: dict[int, dict[str, Any]] = {}

    @property
    def kinds(self) -> Counter[str]:
        """How often each kind of request was made."""
        return Counter(kind for kind, _, _ in self.requests)

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """The fields of each request of a kind."""
        return [fields for name, _, fields in self.requests if name == kind]

    def start(self) -> None:
        pass

    def close(self) -> None:
        self._scans.clear()

    def request(self, cls: type, **fields: Any) -> int:
        made = cls(id=0, **fields)
        # The caller may change its arrays once the request is made.
        kept = {name: getattr(made, name) for name in fields}
        return self._ask(cls.__name__, {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in kept.items()})

    def forget(self, handle: int) -> None:
        self.forgotten.append(handle)
        self._scans.pop(handle, None)

    def cancel(self, job: int) -> None:
        self.cancelled.append(job)
        self._waiting = [item for item in self._waiting if item[1] != job]

    def die(self) -> None:
        """The process is killed and another takes its place."""
        self.pid += 1
        self._scans.clear()
        for kind, _, _ in self._waiting:
            error = self._errors.OmomiError("backend_died", "The backend stopped unexpectedly.")
            self.failures.setdefault(kind, []).append(error)
        self.slow.clear()

    def send_mesh(self, rings: int, *, final: bool = False) -> None:
        """The job that waits for its answer sends a mesh, finer with more rings, at the next poll."""
        kind, number, fields = self._waiting[-1]
        assert kind in self.slow
        scan, body = self._scans[fields["handle"]], sphere(np.zeros(3), np.ones(3), rings)
        self._events.append(self._frame(number, scan, *body, final=final))

    def send_done(self) -> None:
        """That job ends, with no other mesh than it has sent."""
        _, number, _ = self._waiting.pop()
        self._events.append(self._protocol.Done(number, {}))

    def report_progress(self) -> None:
        """The job that waits for its answer says at the next poll that it is half done."""
        for _, number, _ in self._waiting[-1:]:
            self._events.append(self._protocol.Progress(number, 0.5, "half way"))

    def poll(self) -> list[Any]:
        due = [item for item in self._waiting if item[0] not in self.slow]
        self._waiting = [item for item in self._waiting if item[0] in self.slow]
        events, self._events = self._events, []
        return events + [event for kind, number, fields in due for event in self._answer(kind, number, fields)]

    def _ask(self, kind: str, fields: dict[str, Any]) -> int:
        number = next(self._numbers)
        self.requests.append((kind, number, fields))
        self._waiting.append((kind, number, fields))
        return number

    def _answer(self, kind: str, number: int, fields: dict[str, Any]) -> list[Any]:
        protocol = self._protocol
        if self.failures.get(kind):
            return [protocol.Failure.of(number, self.failures[kind].pop(0))]
        for handle in (fields.get("handle"), fields.get("other")):
            if handle not in (None, -1) and handle not in self._scans:
                error = self._errors.OmomiError("unknown_scan", "The backend does not have this fit any more.")
                return [protocol.Failure.of(number, error)]
        return getattr(self, f"_{kind.removesuffix('Request').lower()}")(number, **fields)

    def _read(self, number: int, path: str) -> list[Any]:
        """A square and what it carries, wherever the name of the file says."""
        protocol, far = self._protocol, 5e5 if "far" in path else 0.0
        points = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
        faces = np.array([[0, 1, 2], [0, 2, 3]] if path.endswith(".off") else np.zeros((0, 3)), np.int32)
        frame = protocol.MeshFrame(number, 0, True, (far, 0.0, 0.0), points, faces, np.zeros(4, np.float32))
        channels = {"normal": [[0, 0, 1]] * 4, "Color": [[0.2, 0.4, 0.6, 1]] * 4, "view": [[7]] * 4, "heat": [[2]] * 4}
        values = np.concatenate([np.array(rows, np.float32).reshape(-1) for rows in channels.values()])
        said = {
            "name": Path(path).stem,
            "channels": [{"name": name, "width": len(rows[0])} for name, rows in channels.items()],
            "notes": ["1 of its 5 points have no finite position, and are left out."],
        }
        corners = points[faces][..., :2].reshape(-1) if len(faces) else None
        return [frame, protocol.Done(number, said, values=values, corners=corners)]

    def _fit(
        self, number: int, name: str, options: Any, profile: str, points: Any, faces: Any, normals: Any, sigma: Any,
        view: Any = None, masks: Any = None,
    ) -> Any:  # fmt: skip
        low, high = points.min(0), points.max(0)
        origin = (low + high) / 2
        # What was not seen bulges more in every other completion.
        radii = (high - low) / 2 * (1 + options.variation / 10)
        body, body_faces = sphere(np.zeros(3), radii, 6 + options.variation)
        scan = {
            "origin": tuple(origin.tolist()), "count": len(points), "radii": (high - low) / 2,
            "fit": (body.astype("<f4"), body_faces), "scan": ((points - origin).astype("<f4"), faces),
        }  # fmt: skip
        self._scans[number] = scan
        self._stack(number, number, "fit", (), None)
        stats = {"guess": "the family's profile" if profile else ""}
        kind = options.kind if options.kind != "auto" else "scan"
        report = {"kind": kind, "reason": "as asked" if kind == options.kind else "an open mesh"}
        report["notes"] = [f"A note on a {kind}."]
        if kind == "sheet":
            # Its fit is open: the lid is missing.
            scan["fit"] = scan["fit"][0], scan["fit"][1][:-12]
            self._stack(number, number, "fit", (), None)
        return [self._frame(number, scan, *scan["fit"]), self._protocol.FitDone(number, stats, report)]

    def _frame(self, number: int, scan: dict[str, Any], vertices: Any, faces: Any, *, final: bool = True) -> Any:
        sigma = np.linspace(0, 0.1, len(vertices), dtype="<f4")
        faces = np.asarray(faces, "<i4")
        return self._protocol.MeshFrame(number, 2, final, scan["origin"], vertices.astype("<f4"), faces, sigma)

    def _stack(self, number: int, handle: int, body: str, layers: Any, masks: Any) -> list[Any]:
        scan = self._scans[handle]
        vertices, _ = scan[body]
        rows = np.zeros((0, scan["count"])) if masks is None else masks.reshape(-1, scan["count"])
        moves, found = [], []
        for layer in layers:
            if layer.at is not None and (np.abs(np.array(layer.at) - scan["origin"]) > 1.5 * scan["radii"]).any():
                sentence = f"{layer.edit}: The place that was given for it is not at the surface of the scan."
                return [self._protocol.Failure.of(number, self._errors.OmomiError("bad_place", sentence))]
            places = self._places(scan, layer)
            found.append((places + scan["origin"]).tolist())
            share = {"attribute": SHARES.get(layer.edit, 0.0), "shape": 1.5, "learned": 3.0}[layer.source]
            weight = rows[layer.mask.row] if layer.mask and body == "scan" else np.ones(len(vertices))
            outwards = vertices / np.maximum(np.linalg.norm(vertices, axis=1, keepdims=True), 1e-9)
            if len(places):
                nearest = np.linalg.norm(vertices[:, None] - places, axis=2)
                left = [*(layer.without or ())]
                weight = weight * ((nearest.min(1) < 0.1) & ~np.isin(nearest.argmin(1), left))
            moves.append((0.1 * share * weight[:, None] * outwards * (not layer.mute)).astype("<f4"))
        deltas = [layer.edit for layer in layers if "delta" in layer.edit and not layer.mute]
        scan |= {"body": body, "moves": moves, "deltas": deltas}
        told = [
            {
                "name": layer.edit, "kind": layer.source, "strength": layer.strength, "misfit": None,
                "foretold": [-0.75, 1.5], "gear": "delta" if layer.edit in deltas else "movement", "warnings": [],
                "places": places,
            }
            for layer, places in zip(layers, found, strict=True)
        ]  # fmt: skip
        return [self._protocol.Done(number, {"layers": told})]

    def _places(self, scan: dict[str, Any], layer: Any) -> Any:
        """Where an edit acts (n, 3), from the origin of the scan."""
        if layer.at is not None:
            return np.array([layer.at]) - scan["origin"]
        if layer.source == "learned" and "legs" in layer.edit and not layer.mute:
            return scan["scan"][0][self.legs].astype(float)
        return np.zeros((0, 3))

    def _posed(self, handle: int, strengths: Any) -> Any:
        scan = self._scans[handle]
        assert len(strengths) == len(scan["moves"])
        vertices = scan[scan["body"]][0].copy()
        for strength, move in zip(strengths, scan["moves"], strict=True):
            vertices += np.float32(strength) * move
        return vertices

    def _pose(self, number: int, handle: int, strengths: Any) -> list[Any]:
        return [self._protocol.Done(number, {}, vertices=self._posed(handle, strengths))]

    def _apply(self, number: int, handle: int, strengths: Any, outcome: str) -> list[Any]:
        scan, vertices = self._scans[handle], self._posed(handle, strengths)
        faces = scan[scan["body"]][1]
        coarse, warnings = [], []
        if outcome == "remeshed":
            radii = np.abs(vertices).max(0)
            rings = (4, 6) if scan["deltas"] else ()
            coarse = [self._frame(number, scan, *sphere(np.zeros(3), radii, n), final=False) for n in rings]
            vertices, faces = sphere(np.zeros(3), radii, 8)
        else:
            more = "makes more than a movement of the surface: it needs a new mesh of the fit."
            warnings = [f"{name} {more}" for name in scan["deltas"]]
        change = "a tunnel through it closes" if max(map(abs, strengths), default=0) > 1.25 else ""
        report: dict[str, Any] = {
            "moved": 1.0, "largest_move": 0.1, "guessed": 0.5, "folded_faces": 3,
            "topology": {"before": [1, 1, 0], "after": [1, 0 if change else 1, 0], "change": change, "unstable": False},
            "warnings": warnings + ["3 faces were turned over: lower the strength."] * bool(change),
        }  # fmt: skip
        return [*coarse, self._frame(number, scan, vertices, faces), self._protocol.Done(number, report)]

    def _remesh(self, number: int, handle: int, strengths: Any) -> list[Any]:
        assert self._scans[handle]["deltas"] and self._scans[handle]["body"] == "fit"
        *meshes, _ = self._apply(number, handle, strengths, "remeshed")
        return [*meshes, self._protocol.Done(number, {})]

    def _patch(
        self, number: int, name: str, numbers: Any, smaller: float, close: str, look: bool, points: Any, faces: Any,
        values: Any, uvs: Any,
    ) -> list[Any]:  # fmt: skip
        """Every border is a hole, but for the one through vertex 0, an opening; a fan around its middle closes it."""
        loops = border_loops(faces)
        rows: list[dict[str, Any]] = []
        added, fans, moved, laid, sources = [], [], [], [], []
        for count, loop in enumerate(loops, 1):
            middle = points[loop].mean(0)
            radius = float(np.linalg.norm(points[loop] - middle, axis=1).max())
            is_hole = 0 not in loop
            wanted = (count in numbers if numbers else is_hole) and not look and (not smaller or radius < smaller)
            row = {"number": count, "is_hole": is_hole, "why": "" if is_hole else "it is the outer border of a piece"}
            rows.append(row | {"edges": len(loop), "radius": radius, "closed": close if wanted else "", "said": ""})
            if not wanted:
                continue
            fan = [(a, b, len(points) + len(added)) for a, b in zip(loop, np.roll(loop, -1), strict=True)]
            added.append(middle)
            moved.append(None if values is None else values.reshape(len(points), -1)[loop].mean(0))
            for a, b, _ in fan:
                beside = int(np.flatnonzero((faces == a).any(1) & (faces == b).any(1))[0])
                sources.append(beside)
                if uvs is not None:
                    corners = uvs.reshape(-1, len(faces), 3, 2)[:, beside]
                    at = [int(np.flatnonzero(faces[beside] == vertex)[0]) for vertex in (a, b)]
                    laid.append(np.concatenate([corners[:, at], corners[:, at].mean(1, keepdims=True)], axis=1))
            fans += fan
        result: dict[str, Any] = {"holes": rows, "new_vertices": len(added), "new_faces": len(fans), "warnings": []}
        if look:
            joined = np.concatenate([np.zeros(0, "<i4"), *loops]).astype("<i4")
            return [self._protocol.Done(number, result, sources=joined)]
        if smaller:
            result["warnings"] = ["Hole 1 is left open: its radius is 3."]
        vertices = np.asarray(added, "<f4").reshape(-1, 3)
        table = np.asarray(fans, "<i4").reshape(-1, 3)
        frame = self._protocol.MeshFrame(number, 0, True, (0.0, 0.0, 0.0), vertices, table, np.zeros(len(added), "<f4"))
        coated = uvs if uvs is None or not laid else np.stack(laid, axis=1)
        carried = {
            "values": None if values is None else np.asarray(moved, "<f4").reshape(-1),
            "corners": None if coated is None else coated.astype("<f4").reshape(-1)[: coated.size if laid else 0],
            "sources": np.asarray(sources, "<i4"),
        }
        return [frame, self._protocol.Done(number, result, **carried)]

    def _sweep(self, number: int, handle: int, strengths: Any, layer: int, low: float, high: float, steps: int) -> Any:
        assert 0 <= layer < len(strengths) and low < high
        changes = [{"strength": 1.25, "change": "a tunnel through it closes"}]
        rows = [{"strength": strength} for strength in (low, high)]
        result: dict[str, Any] = {"safe": [-0.5, 1.25], "transitions": changes, "unstable": [], "rows": rows}
        result |= {"shown": self.shown, "picture": "<svg/>"}
        return [self._protocol.Done(number, result)]

    def _travel(self, number: int, handle: int, layer: int) -> Any:
        assert 0 <= layer < len(self._scans[handle]["moves"])
        return [self._protocol.Done(number, {"safe": [-0.5, 1.25], "seen": [-0.125, 0.125]})]

    def _check(self, number: int, handle: int, strengths: Any, profile: str) -> list[Any]:
        scan = self._scans[handle]
        points = scan["scan"][0]
        values = np.linspace(0, 0.1, len(points), dtype="<f4")
        measures = {"volume": 2.0, "area": 8.0}
        result: dict[str, Any] = {"topology": [1, 1, 0], "measures": measures, "guessed": 0.04, "family": None}
        result["plausibility"] = {"value": 0.83, "nearest": [{"family": "creature", "distance": 0.125}]}
        deviation = None
        if profile:
            result["family"] = {"name": Path(profile).stem, "typical": 0.7, "outside": 0.04}
        if profile and self.stranger:
            result["family"] = {"name": Path(profile).stem, "why": self.stranger}
        elif profile:
            # A bump above, a dent below.
            deviation = (8 * np.sign(points[:, 2])).astype("<f4")
        return [self._protocol.Done(number, result, values=values, deviation=deviation)]

    def _align(self, number: int, name: str, path: str, names: Any, counts: Any, points: Any, faces: Any) -> list[Any]:
        assert len(names) == len(counts) // 2
        assert sum(counts[0::2]) == len(points) and sum(counts[1::2]) == len(faces)
        assert faces.max() < max(counts[0::2])
        Path(path).write_bytes(b"family " + name.encode())
        odd = [{"name": member, "why": "it is like none of the others."} for member in names if "odd" in member]
        members = dict.fromkeys((name for name in names if "odd" not in name), 0.5)
        result: dict[str, Any] = {"members": members, "left_out": odd, "explained": 0.9}
        result["warnings"] = [f"{one['name']} is left out: {one['why']}" for one in odd] + [
            "The members differ much."
        ] * bool(odd)
        return [self._protocol.Done(number, result)]

    def _sample(self, number: int, seed: int, level: int) -> list[Any]:
        vertices, faces = sphere(np.zeros(3), np.array([0.8, 0.5, 0.1 * (seed % 5 + 1)]), 6)
        frame = self._frame(number, {"origin": (0.0, 0.0, 0.0)}, vertices, faces)
        result = {"plausibility": 0.5, "nearest": [{"family": "vessel", "distance": 0.5}]}
        return [frame, self._protocol.Done(number, result)]

    def _audit(self, number: int, handle: int, path: str, against: str) -> list[Any]:
        Path(path).write_text("<html></html>")
        return [self._protocol.Done(number, {"path": path})]

    def _solve(self, number: int, handle: int, strengths: Any, layer: int, measure: str, value: float) -> list[Any]:
        result = {"strength": value / 4, "reached": True, "measured": value, "safe": [-0.5, 1.25], "warnings": []}
        return [self._protocol.Done(number, result)]

    def _blend(self, number: int, handle: int, other: int, share: float, guarded: bool, steps: int) -> list[Any]:
        first, second = (self._scans[h]["fit"] for h in (handle, other))
        vertices = (1 - share) * first[0] + share * second[0]
        frame = self._frame(number, self._scans[handle], vertices, first[1])
        return [frame, self._protocol.Done(number, {"topology": [1, 0, 0], "residual": 0.01})]

    def _learn(
        self, number: int, name: str, path: str, counts: Any, points: Any, faces: Any, marks: Any
    ) -> list[Any]:
        assert sum(counts[0::2]) == len(points) and sum(counts[1::2]) == len(faces)
        assert faces.max() < max(counts[0::2])
        with open(path, "wb") as file:
            file.write(b"learned " + name.encode())
        warnings = ["The examples show no change: this edit does nothing."] if "same" in name else []
        result = {"sha256": "0" * 64, "examples": len(counts) // 4, "disagreement": 0.0, "unexplained": 0.0}
        result |= {"gear": "delta" if "delta" in name else "movement", "wrong": {"delta": 0.1, "movement": 0.4}}
        return [self._protocol.Done(number, {**result, "warnings": warnings})]

    def _transfer(self, number: int, handle: int, channels: int, widths: Any, points: Any, faces: Any,
                  target_points: Any, target_faces: Any, values: Any, corners: Any) -> list[Any]:  # fmt: skip
        """Everything comes from the nearest point, or from the face with the nearest middle. What is higher than the
        scan is invented."""
        assert handle in self._scans
        near = ((target_points[:, None] - points[None]) ** 2).sum(-1).argmin(1).astype("<i4")
        moved = None if values is None else values.reshape(len(points), channels)[near].reshape(-1).astype("<f4")
        sources, coats = near, []
        if len(faces):
            middle, places = target_points[target_faces].mean(1), points[faces].mean(1)
            sources = ((middle[:, None] - places[None]) ** 2).sum(-1).argmin(1).astype("<i4")
            starts = 3 * len(faces) * np.cumsum([0, *widths])
            for start, width in zip(starts, widths, strict=False):
                coat = corners[start : start + 3 * len(faces) * width].reshape(len(faces), 3, width)
                coats.append(coat[sources].reshape(-1))
        invented = (target_points[target_faces, 2].min(1) > points[:, 2].max()).astype("<u1")
        done = self._protocol.Done(
            number, {"notes": self.notes}, values=moved, sources=sources, invented=invented,
            corners=np.concatenate(coats).astype("<f4") if coats else None,
        )  # fmt: skip
        return [done]

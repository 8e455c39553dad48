"""The messages between an add-on (or script) and the backend process, one frozen dataclass each.

Both sides share this file. A message becomes a ``Packet`` (see ``frames``) whose head follows JSON-RPC 2.0: a fit is a
request with an ``id``, ``FitDone`` and ``Failure`` are its responses, everything else is a notification. Fields that
hold arrays travel as raw little-endian bytes. Standard library and numpy only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeAlias

import numpy as np

from .errors import ErrorCode, OmomiError
from .frames import Packet

PROTOCOL_VERSION = 1

_JSON_RPC = "2.0"
# JSON-RPC wants an integer code; ours is a name and travels in the error's data.
_RPC_ERROR = -32000
# Keeps a failure, tracebacks included, well inside the bound of a head.
_LONGEST_TEXT = 20_000


class Method(StrEnum):
    """Names on the wire."""

    HELLO = "hello"
    FIT = "fit"
    PROGRESS = "progress"
    FRAME = "frame"
    CANCEL = "cancel"
    PING = "ping"
    PONG = "pong"
    SHUTDOWN = "shutdown"


def _array(*dtypes: str, columns: int | None, optional: bool = False) -> Any:
    metadata = {"dtypes": dtypes, "columns": columns, "optional": optional}
    return dataclasses.field(default=None, metadata=metadata) if optional else dataclasses.field(metadata=metadata)


@dataclass(frozen=True)
class Hello:
    """First message of the backend. ``limits`` are the bounds of one message, in bytes (see ``frames``)."""

    protocol: int
    backend: str
    pid: int
    model_hash: str
    device: str
    providers: tuple[str, ...]
    numpy: str
    onnxruntime: str
    limits: dict[str, Any]


@dataclass(frozen=True, eq=False)
class FitRequest:
    """Fit one scan. ``points`` (n, 3) in world units, f64 when they are far from the origin; ``faces`` (m, 3) indices
    into them; ``normals`` and ``to_sensor`` (n, 3). ``options`` are the fields of ``FitOptions``."""

    id: int
    name: str
    options: dict[str, Any]
    points: np.ndarray = _array("<f4", "<f8", columns=3)
    faces: np.ndarray | None = _array("<i4", columns=3, optional=True)
    normals: np.ndarray | None = _array("<f4", columns=3, optional=True)
    to_sensor: np.ndarray | None = _array("<f4", columns=3, optional=True)


@dataclass(frozen=True)
class Progress:
    """``fraction`` in 0..1 of the job done, ``text`` for a person. Repeated twice a second as a sign of life."""

    id: int
    fraction: float
    text: str


@dataclass(frozen=True, eq=False)
class MeshFrame:
    """The mesh so far, coarse to fine; exactly one frame of a job is ``final``.

    ``vertices`` f32 (n, 3) are world coordinates minus ``origin``, so that a scan far from the origin keeps its
    precision; the origin is the same in all frames of a job. ``sigma`` f32 (n,) is one standard deviation of the
    surface along its normal, in world units.
    """

    id: int
    level: int
    final: bool
    origin: tuple[float, float, float]
    vertices: np.ndarray = _array("<f4", columns=3)
    faces: np.ndarray = _array("<i4", columns=3)
    sigma: np.ndarray = _array("<f4", columns=None)

    def world(self) -> np.ndarray:
        """Vertices f64 (n, 3) in world units."""
        return self.vertices.astype(np.float64) + np.asarray(self.origin)


@dataclass(frozen=True)
class FitDone:
    """A job ended well; its final frame came before. ``stats`` and ``report``: fields of ``FitStats``, ``CleanReport``."""

    id: int
    stats: dict[str, Any]
    report: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A job ended badly, or, with ``id`` None, the backend itself cannot go on."""

    id: int | None
    code: ErrorCode
    message: str
    detail: str = ""

    @classmethod
    def of(cls, job: int | None, error: OmomiError) -> Failure:
        return cls(job, error.code, error.message[:_LONGEST_TEXT], error.detail[-_LONGEST_TEXT:])

    def error(self) -> OmomiError:
        return OmomiError(self.code, self.message, self.detail)


@dataclass(frozen=True)
class Cancel:
    """Stop the job ``id``, queued or running. Its response is then a ``Failure`` with the code ``CANCELLED``."""

    id: int


@dataclass(frozen=True)
class Ping:
    """Ask for a ``Pong``."""


@dataclass(frozen=True)
class Pong:
    """Answer to ``Ping``."""


@dataclass(frozen=True)
class Shutdown:
    """End the process. Closing its stdin does the same."""


Message: TypeAlias = Hello | FitRequest | Progress | MeshFrame | FitDone | Failure | Cancel | Ping | Pong | Shutdown

_CLASSES: dict[Method, type] = {
    Method.HELLO: Hello,
    Method.FIT: FitRequest,
    Method.PROGRESS: Progress,
    Method.FRAME: MeshFrame,
    Method.CANCEL: Cancel,
    Method.PING: Ping,
    Method.PONG: Pong,
    Method.SHUTDOWN: Shutdown,
}
_METHODS = {cls: method for method, cls in _CLASSES.items()}


def to_packet(message: Message) -> Packet:
    """The packet that carries ``message``. Raises OmomiError(PROTOCOL) for arrays of another type or shape."""
    head: dict[str, Any] = {"jsonrpc": _JSON_RPC}
    arrays: dict[str, np.ndarray] = {}
    if isinstance(message, Failure):
        data = {"code": message.code.value, "detail": message.detail}
        error = {"code": _RPC_ERROR, "message": message.message, "data": data}
        return Packet({**head, "id": message.id, "error": error})
    params: dict[str, Any] = {}
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if field.metadata:
            if value is not None or not field.metadata["optional"]:
                arrays[field.name] = _checked_array(field, value)
        else:
            params[field.name] = value
    if isinstance(message, FitDone):
        return Packet({**head, "id": params.pop("id"), "result": {"method": Method.FIT.value, **params}})
    if isinstance(message, FitRequest):
        head["id"] = params.pop("id")
    return Packet({**head, "method": _METHODS[type(message)].value, "params": params}, arrays)


def from_packet(packet: Packet) -> Message:
    """The typed message in ``packet``.

    Raises OmomiError: ``PROTOCOL`` when a member is missing or of another type, ``PROTOCOL_VERSION`` for a hello of
    another version, naming both.
    """
    head = packet.head
    if head.get("jsonrpc") != _JSON_RPC:
        _refuse("not a JSON-RPC 2.0 message")
    if "error" in head:
        return _failure(head)
    if "result" in head:
        result = _object(head["result"])
        if result.pop("method", None) != Method.FIT.value:
            _refuse("a result of an unknown method")
        return _build(FitDone, {**result, "id": head.get("id")}, packet.arrays)
    name = head.get("method")
    if name not in tuple(Method):
        _refuse("an unknown method")
    method = Method(name)
    params = _object(head.get("params", {}))
    if method is Method.HELLO and params.get("protocol") != PROTOCOL_VERSION:
        raise OmomiError(
            ErrorCode.PROTOCOL_VERSION,
            f"The backend speaks protocol {str(params.get('protocol'))[:20]}, this add-on speaks {PROTOCOL_VERSION}: "
            "reinstall Omomi so that both come from one version.",
        )
    if method is Method.FIT:
        params["id"] = head.get("id")
    return _build(_CLASSES[method], params, packet.arrays)


def job_of(packet: Packet) -> int | None:
    """The job that a packet speaks of, if it names one; for answering a request that cannot be understood."""
    job = packet.head.get("id")
    return job if type(job) is int else None


def jsonable(value: Any) -> Any:
    """``value`` with dataclasses, tuples and numpy numbers made plain, for a head. Numbers that are not finite become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _failure(head: dict[str, Any]) -> Failure:
    error = _object(head["error"])
    data = _object(error.get("data", {}))
    job, code, message = head.get("id"), data.get("code"), error.get("message")
    if (job is not None and type(job) is not int) or not isinstance(message, str):
        _refuse("an error without a message")
    # A newer backend may know codes that this side does not.
    known = code if code in tuple(ErrorCode) else ErrorCode.INTERNAL
    return Failure(job, ErrorCode(known), message, str(data.get("detail", "")))


def _build(cls: type, params: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.metadata:
            values[field.name] = _checked_array(field, arrays.get(field.name))
        elif field.name not in params:
            _refuse(f"{cls.__name__} without {field.name}")
        else:
            values[field.name] = _CONVERTERS[str(field.type)](params[field.name])
    return cls(**values)


def _checked_array(field: dataclasses.Field[Any], value: Any) -> np.ndarray | None:
    rules = field.metadata
    if value is None and rules["optional"]:
        return None
    if not isinstance(value, np.ndarray) or value.dtype not in [np.dtype(d) for d in rules["dtypes"]]:
        _refuse(f"{field.name} is not an array of {' or '.join(rules['dtypes'])}")
    columns = rules["columns"]
    if value.ndim != (1 if columns is None else 2) or (columns is not None and value.shape[1] != columns):
        _refuse(f"{field.name} has the shape {value.shape}")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse("a member that is not an object")
    return dict(value)


def _integer(value: Any) -> int:
    if type(value) is not int or abs(value) >= 1 << 63:
        _refuse("a member that is not an integer")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or abs(value) > 1e300:
        _refuse("a member that is not a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        _refuse("a member that is not a string")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse("a member that is not true or false")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        _refuse("a member that is not a list")
    return tuple(map(_text, value))


def _vector(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        _refuse("a member that is not three numbers")
    return tuple(map(_number, value))


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _integer,
    "float": _number,
    "str": _text,
    "bool": _flag,
    "dict[str, Any]": _object,
    "tuple[str, ...]": _texts,
    "tuple[float, float, float]": _vector,
}


def _refuse(what: str) -> NoReturn:
    raise OmomiError(ErrorCode.PROTOCOL, f"Message not understood: {what}.")

"""Messages to packets and back.

The head follows JSON-RPC 2.0: a job is a request with an ``id``; ``FitDone``, ``Done`` and ``Failure`` are the
responses, all else are notifications. Fields that hold arrays travel as arrays of the packet (see `framing`). What
comes in is hostile until every member has been checked. Standard library and numpy only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import numpy as np

from ..errors import ErrorCode, OmomiError
from .fit_options import FitOptions
from .framing import Packet, malformed
from .messages import PROTOCOL_VERSION, Done, Failure, FitDone, Hello, Message
from .recipe import Layer
from .requests import Request

T = TypeVar("T")
_JSON_RPC = "2.0"
# JSON-RPC wants an integer code; ours is a name and travels in the error's data.
_RPC_ERROR = -32000
# Far more than any member needs; a head has room for a million numbers.
MOST_ITEMS = 4096

_RESULTS: dict[str, type] = {"fit": FitDone, "done": Done}
"""What a result says that it is, in a member "method" of its own."""
_RESULT_NAMES = {cls: name for name, cls in _RESULTS.items()}
_METHODS = {
    cls: cls.__name__.removesuffix("Request").removeprefix("Mesh").lower()
    for cls in get_args(Message)
    if cls not in (FitDone, Done, Failure)
}
"""Names on the wire: "fit" for a FitRequest, "frame" for a MeshFrame."""
_CLASSES = {name: cls for cls, name in _METHODS.items()}


def to_packet(message: Message) -> Packet:
    """The packet that carries ``message``. Raises OmomiError(PROTOCOL) for what `from_packet` would refuse."""
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
            array = _checked_array(field, value)
            if array is not None:
                arrays[field.name] = array
        else:
            kind = str(field.type)
            params[field.name] = (_OUTGOING.get(kind) or _CONVERTERS[kind])(value)
    if (name := _RESULT_NAMES.get(type(message))) is not None:
        return Packet({**head, "id": params.pop("id"), "result": {"method": name, **params}}, arrays)
    if isinstance(message, Request):
        head["id"] = params.pop("id")
    return Packet({**head, "method": _METHODS[type(message)], "params": params}, arrays)


def from_packet(packet: Packet) -> Message:
    """The typed message in ``packet``. Raises OmomiError: ``PROTOCOL`` when a member is missing or of another type,
    ``PROTOCOL_VERSION`` for a hello of another version, ``BAD_OPTION`` for options that a fit cannot have."""
    head = packet.head
    if head.get("jsonrpc") != _JSON_RPC:
        malformed("not a JSON-RPC 2.0 message")
    if "error" in head:
        return _failure(head)
    if "result" in head:
        result = _object(head["result"])
        kind = _known(result.pop("method", None), _RESULTS)
        return _build(kind, {**result, "id": head.get("id")}, packet.arrays)
    kind = _known(head.get("method"), _CLASSES)
    params = _object(head.get("params", {}))
    if kind is Hello and params.get("protocol") != PROTOCOL_VERSION:
        raise OmomiError(
            ErrorCode.PROTOCOL_VERSION,
            f"The backend speaks protocol {str(params.get('protocol'))[:20]}, this add-on speaks {PROTOCOL_VERSION}: "
            "reinstall Omomi so that both come from one version.",
        )
    if issubclass(kind, Request):
        params["id"] = head.get("id")
    return _build(kind, params, packet.arrays)


def job_of(packet: Packet) -> int | None:
    """The job that a packet speaks of, if it names one; for answering a request that cannot be understood."""
    job = packet.head.get("id")
    return job if type(job) is int else None


def jsonable(value: Any) -> Any:
    """``value`` with dataclasses, tuples and numpy numbers made plain, for a head. NaN and infinities become None."""
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


def _known(name: Any, methods: Mapping[str, type]) -> type:
    """The class with this name on the wire."""
    if not isinstance(name, str) or name not in methods:
        malformed("an unknown method")
    return methods[name]


def _failure(head: dict[str, Any]) -> Failure:
    error = _object(head["error"])
    data = _object(error.get("data", {}))
    job, code, message = head.get("id"), data.get("code"), error.get("message")
    if (job is not None and type(job) is not int) or not isinstance(message, str):
        malformed("an error without a message")
    # A newer backend may know codes that this side does not.
    known = code if code in tuple(ErrorCode) else ErrorCode.INTERNAL
    return Failure(job, ErrorCode(known), message, str(data.get("detail", "")))


def _build(cls: type, params: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.metadata:
            values[field.name] = _checked_array(field, arrays.get(field.name))
        elif field.name not in params:
            malformed(f"{cls.__name__} without {field.name}")
        else:
            values[field.name] = _CONVERTERS[str(field.type)](params[field.name])
    return cls(**values)


def _checked_array(field: dataclasses.Field[Any], value: Any) -> np.ndarray | None:
    rules = field.metadata
    if value is None and rules["optional"]:
        return None
    if not isinstance(value, np.ndarray) or value.dtype not in [np.dtype(d) for d in rules["dtypes"]]:
        malformed(f"{field.name} is not an array of {' or '.join(rules['dtypes'])}")
    columns = rules["columns"]
    if value.ndim != (1 if columns is None else 2) or (columns is not None and value.shape[1] != columns):
        malformed(f"{field.name} has the shape {value.shape}")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        malformed("a member that is not an object")
    return dict(value)


def _plain(what: str, make: Callable[[Any], Any], allowed: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """Converter of numbers, strings and truth values."""

    def convert(value: Any) -> Any:
        if not allowed(value):
            malformed(f"a member that is not {what}")
        return make(value)

    return convert


_integer = _plain("an integer", int, lambda value: type(value) is int and abs(value) < 1 << 63)
_number = _plain("a number", float, lambda value: type(value) in (int, float) and not abs(value) > 1e300)
_text = _plain("a string", str, lambda value: isinstance(value, str))


def _list_of(convert: Callable[[Any], Any], count: int | None = None) -> Callable[[Any], tuple[Any, ...]]:
    """Converter of lists whose items ``convert`` takes, ``count`` of them or any number within the bound."""

    def convert_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            malformed("a member that is not a list")
        if len(value) > MOST_ITEMS or (count is not None and len(value) != count):
            malformed(f"a list of {len(value)} items")
        return tuple(map(convert, value))

    return convert_all


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _integer,
    "float": _number,
    "str": _text,
    "bool": _plain("true or false", bool, lambda value: isinstance(value, bool)),
    "dict[str, Any]": _object,
    "FitOptions": lambda value: FitOptions.of(_object(value)),
    "tuple[str, ...]": _list_of(_text),
    "tuple[int, ...]": _list_of(_integer),
    "tuple[float, ...]": _list_of(_number),
    "tuple[Layer, ...]": _list_of(lambda value: Layer.from_json(_object(value))),
    "tuple[float, float, float]": _list_of(_number, 3),
}


def _instance(value: Any, cls: type[T]) -> T:
    if not isinstance(value, cls):
        malformed(f"a member that is no {cls.__name__}")
    return value


_OUTGOING: dict[str, Callable[[Any], Any]] = {
    "FitOptions": lambda value: dataclasses.asdict(_instance(value, FitOptions)),
    "tuple[Layer, ...]": _list_of(lambda value: _instance(value, Layer).to_json()),
}
"""Of the types that look otherwise in a head."""

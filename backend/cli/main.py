"""The command ``omomi``. Importing this is cheap: each verb imports what it needs, after ``--site`` has been obeyed."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import logging
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import ErrorCode, OmomiError
from . import (
    align,
    audit,
    batch,
    blend,
    doctor,
    edit,
    farm,
    fit,
    learn,
    measure,
    merge,
    patch,
    sample,
    score,
    solve,
    sweep,
)
from .arguments import MakeEngine, integer, told
from .output import escape_unprintable, print_json, system_errors

if TYPE_CHECKING:
    from ..engine import Engine

VERBS = (
    doctor, fit, patch, learn, edit, sweep, blend, solve, batch, merge, farm, sample, score, align, audit, measure,
)  # fmt: skip

# Verbs of the developer, with parsers of their own; an installed extension does not have these modules.
_ELSEWHERE = {
    "train": "..training.train",
    "export": "..training.export",
    "ablate": "..training.ablation",
    "study": "..studies.run",
    "bench": "tests.benchmarks",
}


def main(argv: Sequence[str] | None = None, make_engine: MakeEngine | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 misused. ``make_engine(device, threads)`` is for tests."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    escape_unprintable()
    try:
        with _ended_tidily():
            if words and words[0] in _ELSEWHERE:
                return _delegate(words[0], words[1:])
            arguments = _parser().parse_args(words)
            sys.path += [folder for folder in arguments.site if folder not in sys.path]
            with system_errors():
                return arguments.run(arguments, make_engine or _onnx_engine)
    except OmomiError as error:
        return _fail(error, as_json)
    except KeyboardInterrupt:
        return _fail(OmomiError(ErrorCode.CANCELLED, "Cancelled."), as_json)


@contextlib.contextmanager
def _ended_tidily() -> Generator[None]:
    """Within this block SIGTERM is Ctrl-C: what waits in `finally` is done, and temporary files go."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    common.add_argument("--site", action="append", default=[], metavar="DIR", help="another folder with packages")
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument("--device", choices=("auto", "cpu", "cuda", "webgpu"), default="auto")
    engine.add_argument("--threads", type=integer(0, 1024), default=0, metavar="N", help="0: as many as are useful")

    parser = argparse.ArgumentParser(prog="omomi", description="Scans to signed distance fields and meshes.")
    parser.add_argument("--version", action="version", version=f"omomi {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    for module in VERBS:
        module.add(verbs, [common, engine])
    serve = verbs.add_parser("serve", parents=[common, engine], help="speak the protocol on stdin and stdout")
    serve.add_argument("--memory-mb", type=integer(0, 1 << 30), default=0, metavar="N", help="bound; 0: none (Linux)")
    serve.add_argument("--log", type=Path, metavar="FILE", help="log there instead of to stderr")
    serve.set_defaults(run=_serve)
    for verb in _ELSEWHERE:
        verbs.add_parser(verb, add_help=False, help=f"see: omomi {verb} --help")
    return parser


def _onnx_engine(device: str, threads: int) -> Engine:
    from ..engine import OnnxEngine

    return OnnxEngine(device, threads)


def _serve(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    from ..server.server import serve
    from ..server.stdio import limit_memory

    logging.basicConfig(filename=arguments.log, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    limit_memory(arguments.memory_mb)
    serve(make_engine(arguments.device, arguments.threads), arguments.memory_mb)


def _delegate(verb: str, words: list[str]) -> int:
    name = _ELSEWHERE[verb]
    try:
        module = importlib.import_module(name, __package__)
    except ImportError as error:
        raise OmomiError(ErrorCode.BAD_OPTION, f"omomi {verb} is not part of this installation: {error}.") from error
    return int(module.main(words) or 0)


def _fail(error: OmomiError, as_json: bool) -> int:
    print(f"omomi: {error.message}", file=sys.stderr)
    if as_json:
        print_json({"error": told(error)})
    return 1

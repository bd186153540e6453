"""The `sekisho` command: one verb, one exit code, and one line for whatever goes wrong."""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

from appliance.cli.output import note
from appliance.cli.parser import parser
from appliance.errors import SekishoError

COULD_NOT_RUN = 2
INTERRUPTED = 130  # as shells say it: 128 + SIGINT
NOBODY_READS = 141  # 128 + SIGPIPE
GARBAGE = 20_000  # objects until cycles are looked for (700 by itself): there are hardly any, and findings of a flood stay


def main(argv: list[str] | None = None) -> int:
    """Run one verb. 0 nothing found, 1 incidents, 2 could not run (with one line on standard error); never a traceback."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is signal.SIG_DFL:
            signal.signal(ending, _ended)
    try:
        return _verb(argv)
    except BrokenPipeError:
        _abandon_output()
        return NOBODY_READS
    except KeyboardInterrupt:
        _abandon_output()
        note("interrupted; nothing was written half")
        return INTERRUPTED
    except SekishoError as error:
        _abandon_output()
        note(str(error))
    except MemoryError:
        _abandon_output()
        note("out of memory; give it more, or fewer captures at once")
    except Exception as error:  # a defect of ours must not look like exit code 1, which says "incidents"
        _abandon_output()
        if os.environ.get("SEKISHO_TRACEBACK"):
            raise
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        note(f"a defect of sekisho: {cause}; please report it with the output of SEKISHO_TRACEBACK=1")
    return COULD_NOT_RUN


def _verb(argv: list[str] | None) -> int:
    try:
        given = sys.argv[1:] if argv is None else argv
        arguments = parser(given[0] if given else "").parse_args(given)
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()  # --help into a closed pipe
    module, _, function = arguments.run.partition(":")
    # One thread for linear algebra (NumPy asks once): its small products only wait for others, and no result depends on cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # what modules are made of stays: nothing to look for while they load, nor ever after
    verb = getattr(import_module(f"appliance.cli.{module}"), function)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()
    code: int = verb(arguments)
    return code


def _abandon_output() -> None:
    """What could not be written is given up, so that the interpreter does not try again while it ends."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _ended(number: int, _frame: object) -> NoReturn:
    """Asked to end: unwind, so that temporary files go."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

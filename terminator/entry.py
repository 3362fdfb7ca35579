"""How every command begins and ends: the name it was typed by, its words, Ctrl-C, and output that nobody reads.

Without imports that take time: a command's own take seconds, in which Ctrl-C is heeded already.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from terminator.text import did_you_mean

INTERRUPTED = 128 + signal.SIGINT
UNREAD = 128 + signal.SIGPIPE
MODULES = {  # what `python -m` takes in place of the installed `terminator NAME`
    "run": "terminator.run",
    "sweeps": "terminator.sweeps",
    "report": "terminator.analysis.report",
    "claims": "terminator.analysis.claims",
    "inspect": "terminator.inspect",
    "export": "terminator.loading",
    "data": "terminator data",
}


def typed(name: str) -> str:
    """A command as one types it who typed this one: `terminator run` or `python -m terminator.run`."""
    installed = sys.argv[0].partition(" ")[0] == "terminator"
    return f"terminator {name}" if installed else f"python -m {MODULES[name]}"


class Parser(argparse.ArgumentParser):
    """Answers wrong words in one line, with what it takes instead, and exits with 2. Keeps the lines of its texts."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **given})

    def error(self, message: str) -> NoReturn:
        if number := re.fullmatch(r"argument (\S+): invalid int value: '(.*)'", message):
            message = f"{number[1]}={number[2]}: must be a whole number"
        self._refuse(f"{message.removeprefix('argument ')}; ")

    def _refuse(self, reason: str) -> NoReturn:
        print(f"terminator: {reason}see {self.prog} --help", file=sys.stderr)
        sys.exit(2)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        given, unknown = self.parse_known_args(args, namespace)
        for word in unknown:
            what = "option" if word.startswith("-") else "argument"
            self._refuse(f"{word}: no such {what}; {did_you_mean(word, self._options())}")
        return given

    def _options(self) -> list[str]:
        """Its own and those of its commands."""
        own = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        commands = (action for action in self._actions if isinstance(action, argparse._SubParsersAction))
        return own + [option for each in commands for parser in each.choices.values() for option in parser._options()]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = [str(each) for each in action.choices or ()]
        if choices and value not in choices:
            what = action.option_strings[0] if action.option_strings else "command"
            rule = f"no such {what}; {did_you_mean(str(value), choices)}choose from {', '.join(choices)}"
            raise argparse.ArgumentError(None, f"{value}: {rule}")


def heed_interrupts() -> None:
    """Where one of the commands is being imported by `python -m`: see `start` on Ctrl-C, from now on.

    `python -m` imports the package before the module that is to run, which can do nothing about it.
    """
    names = {*MODULES.values(), "analysis.report", "analysis.claims"}
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_default and sys.argv[:1] == ["-m"] and not names.isdisjoint(sys.orig_argv):
        signal.signal(signal.SIGINT, _leave)


def start(module: str | Callable[[], None]) -> None:
    """Import a command's module and call its `main`; or call it, where it is here.

    Ctrl-C at any moment prints one line and exits with 130. Until `interruptible`, it ends the process at once, as an
    exception would come up in the middle of an import; every file is whole or not there. Output that is read no longer,
    as behind `| head`, ends the command without a word.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else whoever started the process wants it ignored
        signal.signal(signal.SIGINT, _leave)
    try:
        try:
            command = import_module(module).main if isinstance(module, str) else module
            command()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush when Python ends
        if error.errno == errno.EPIPE:
            sys.exit(UNREAD)
        print(f"terminator: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside the block, Ctrl-C is a KeyboardInterrupt: there is something to do before the command ends."""
    before = signal.getsignal(signal.SIGINT)
    if before is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    with suppress(Exception):
        sys.stdout.flush()
    _say_interrupted()
    os._exit(INTERRUPTED)


def _say_interrupted() -> None:
    with suppress(OSError):
        os.write(2, b"terminator: interrupted\n")

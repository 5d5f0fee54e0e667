"""Secrets planted to be found again, and everything that a user could see of a session while it works."""

from __future__ import annotations

import logging
import pickle
import re
import traceback
import warnings
from contextlib import contextmanager

from datarobot_mlops_async.errors import MLOpsError

# Characters that real tokens have, and that some pages write in another way.
TOKEN = "c4n4ryToken+Zm9v/YmFy=="
SIGNATURE = "c4n4rySignature"
PASSWORD = "c4n4ryPassword"
CONTENT = "c4n4ryContent"
# What comes of a canary that was escaped, cut or quoted still has this in it. The last one is the emulator's own.
NOWHERE = re.compile("c4n4ry(Tok|Sig|Pass)|X-Amz-Signature=[0-9a-f]{8}")
NOT_IN_LOGS = re.compile(NOWHERE.pattern + f"|{CONTENT}")


class Evidence(logging.Handler):
    """Everything that was logged, warned about, shown, raised or pickled, with where it was seen."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.seen = []

    def emit(self, record):
        self.note(f"log {record.name}", logging.Formatter().format(record))
        # Handlers that send records elsewhere send their parts.
        self.note(f"log {record.name}, its arguments", repr(record.args))

    def note(self, where, text):
        self.seen.append((where, text))

    def show(self, where, thing):
        """Look at a public object as a log, a debugger or another process would."""
        self.note(f"{where}: repr", repr(thing))
        self.note(f"{where}: str", str(thing))
        try:
            pickled = pickle.dumps(thing)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            self.note(f"{where}: why it does not pickle", str(error))
        else:
            self.note(f"{where}: pickle", pickled.decode("latin-1"))
            self.note(f"{where}: repr after pickling", repr(pickle.loads(pickled)))

    def catch(self, where, error):
        """Look at an exception, with what it came from."""
        name = f"{where}: {type(error).__name__}"
        self.show(name, error)
        self.note(f"{name}: traceback", "".join(traceback.format_exception(error)))
        for each in chain(error):
            self.note(f"{name}: {type(each).__name__} in its chain", f"{each!r} {each} {each.args!r}")
            self.note(f"{name}: notes", repr(getattr(each, "__notes__", ())))
            if isinstance(each, MLOpsError):
                self.note(f"{name}: attributes", repr(vars(each)))

    def leaks(self):
        """Return where canaries were seen, the first place of each kind."""
        found = {}
        for where, text in self.seen:
            leak = (NOT_IN_LOGS if where.startswith("log") else NOWHERE).search(text)
            if leak:
                around = text[max(0, leak.start() - 80) : leak.end() + 20]
                found.setdefault(where.rpartition(": ")[0], f"{where}: {around!r}")
        return [*found.values()][:20]


def chain(error):
    """Yield an exception and all that it came from."""
    waiting, met = [error], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in met:
            continue
        met.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


@contextmanager
def watched():
    """Watch everything below, with the root logger at DEBUG; at the end no canary may have been seen."""
    evidence, root = Evidence(), logging.getLogger()
    level = root.level
    root.addHandler(evidence)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield evidence
        for each in warned:
            evidence.note("warning", str(each.message))
    finally:
        root.setLevel(level)
        root.removeHandler(evidence)
    leaks = evidence.leaks()
    assert not leaks, "\n".join(leaks)

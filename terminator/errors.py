"""What ends a command or a run without a result."""


class UserError(ValueError):
    """Bad input: one line that names the key, the value and the rule. Entry points print it and exit with 2."""


class Diverged(RuntimeError):  # noqa: N818 — the name of the ledger's reason
    """The loss is infinite or not a number; the message names the step."""

"""What a user can put right."""


class UserError(ValueError):
    """Bad input: one line that names the key, the value and the rule. Entry points print it and exit with 2."""

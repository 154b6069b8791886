"""The one exception for what a user can mend: the command line prints its text in one line and exits with 2."""


class UserError(Exception):
    """Something given from outside cannot be used; the text says what must hold, what was given, what to do."""

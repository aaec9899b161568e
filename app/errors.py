"""The base of every error that Atelier raises on purpose."""


class AtelierError(Exception):
    """An error whose message is written for the person who uses or runs the service.

    The message says what is wrong and what to do.
    """

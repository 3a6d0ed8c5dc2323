"""How a case ends that neither worked nor raised a RetrievalError."""


class Wrong(AssertionError):
    """It said that it worked, and its result is wrong."""


class Refused(Exception):
    """A command ended with one line and exit code 2."""


class Escaped(BaseException):
    """It was about to write where it has no business; not an Exception, so that nothing swallows it."""


class Impossible(Exception):
    """This machine does not allow it."""

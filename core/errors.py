"""The error tree.

Every failure that a person can act on is an `AtlasError`: what happened, to which object, what
was expected and found, and a hint with the next step.  Third-party exceptions are translated by
the module that calls the third party, with the original chained.

AtlasError
├── UsageError            the request itself is wrong (exit code 2)
│   └── NameTakenError    the name is another one's
├── NotFoundError         a study, encoder, file or version that is not there
├── EncoderError          a checkpoint or encoder folder that cannot be used
├── SourceError           the file of a video cannot be shown: gone, another one, or damaged
├── StoreError            the store cannot be read or written as asked
│   └── LeaseHeldError    another process is writing
├── EncoderAwayError      the process that embeds does not answer
├── ClusterError          the machines that embed cannot be reached, or one cannot do its part
├── IssuerError           the identity provider cannot be asked for its keys
├── UnauthenticatedError  who calls is not known
├── ForbiddenError        who calls is known, and may not do this
├── TooLargeError         more than this installation takes at once
├── TooManyRequestsError  more often than this installation answers
├── IdentityError         the identity key is missing or is not this store's
├── MissingDependencyError  an optional package is not installed (`core.optional`)
├── GuardError            the guarded workers cannot be started (`embedder.guard.nursery`)
└── InputRefused          one input (file) that will not be embedded (`core.outcomes`)
"""

from __future__ import annotations


class AtlasError(Exception):
    """A failure with a cause and a next step.

    Parameters
    ----------
    message : str
        What happened, to which object, what was expected and what was found.  Never holds a
        patient name or id.
    hint : str
        The next step, as a command where there is one.
    """

    code = "atlas_error"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AtlasError):
    """The request itself is wrong: an unknown option value, a bad number, a missing argument."""

    code = "usage"
    exit_code = 2


class NameTakenError(UsageError):
    """The name that something is to be saved under is that of another one."""

    code = "name_taken"


class NotFoundError(AtlasError):
    """The named study, video, encoder, file or store version does not exist."""

    code = "not_found"


class EncoderError(AtlasError):
    """A checkpoint or encoder folder cannot be used."""

    code = "encoder"


class EncoderAwayError(AtlasError):
    """The process that embeds for a server does not answer: not now, not never."""

    code = "encoder_away"
    retry_after_s = 5


class ClusterError(AtlasError):
    """The machines that embed together cannot be reached, or one cannot do its part."""

    code = "cluster"


class SourceError(AtlasError):
    """The file that a video was embedded from cannot be shown: gone, another one, or damaged."""

    code = "source"


class StoreError(AtlasError):
    """The store cannot be read or written as asked."""

    code = "store"


class LeaseHeldError(StoreError):
    """Another process holds the store's embedding lease."""

    code = "lease_held"


class IdentityError(AtlasError):
    """The identity key is missing, unreadable, or not the one this store was made with."""

    code = "identity"


class IssuerError(AtlasError):
    """The identity provider cannot be asked for its keys."""

    code = "issuer"


class UnauthenticatedError(AtlasError):
    """Who calls is not known: no key, or none that is in force."""

    code = "unauthenticated"


class ForbiddenError(AtlasError):
    """Who calls is known, and may not do this."""

    code = "forbidden"


class TooLargeError(AtlasError):
    """What was sent is more than this installation takes at once."""

    code = "too_large"


class TooManyRequestsError(AtlasError):
    """Something was asked more often than this installation answers.

    Parameters
    ----------
    retry_after_s : int
        Seconds after which it may be answered.
    """

    code = "too_many_requests"

    def __init__(self, message: str, hint: str = "", *, retry_after_s: int = 60) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s

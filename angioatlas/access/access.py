"""The keys and the trail of one installation, as those who run it use them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final, final

from angioatlas.access.audit import Action, AuditTrail
from angioatlas.access.keys import KeyBook, KeyFacts
from angioatlas.access.principal import Principal, Scope, not_accepted
from angioatlas.access.recording import note, recorded
from core.settings import Settings

_DOTS: Final = 2
"""A JSON Web Token has three parts; a key of ours has no dot."""


def audit_trail(settings: Settings) -> AuditTrail:
    """Return the trail of an installation; nothing is opened until it is used."""
    return AuditTrail(settings.state_dir / "access" / "audit.sqlite")


@final
class Access:
    """Keys, made and ended on record.

    Parameters
    ----------
    settings : Settings
    principal : Principal, optional
        Who does it; whoever works at this machine by default.
    """

    def __init__(self, settings: Settings, principal: Principal | None = None) -> None:
        self.principal = principal or Principal.local()
        self.book = KeyBook(settings.state_dir / "access" / "keys.sqlite")
        self.trail = audit_trail(settings)
        self._oidc = None
        if settings.serve.oidc_issuer is not None:
            # Cryptography is loaded where it is needed: every command makes an `Access`.
            from angioatlas.access.oidc import Oidc

            self._oidc = Oidc(settings.serve)

    def create_key(
        self, name: str, scopes: Iterable[Scope | str], expires_at: dt.datetime | None
    ) -> tuple[KeyFacts, str]:
        """Make a key, see `KeyBook.create`; the token is shown once."""
        with recorded(self.trail, self.principal, Action.ADMIN, {"use_case": "create_key"}):
            facts, token = self.book.create(name, scopes, expires_at, now=_now())
            note(key=facts.id, name=facts.name, scopes=" ".join(sorted(facts.scopes)))
            return facts, token

    def revoke_key(self, key_id: str) -> KeyFacts:
        """End a key at once, see `KeyBook.revoke`."""
        with recorded(self.trail, self.principal, Action.ADMIN, {"use_case": "revoke_key"}):
            facts = self.book.revoke(key_id, now=_now())
            note(key=facts.id, name=facts.name)
            return facts

    def authenticate(self, token: str) -> Principal:
        """Return whose token this is: a key of ours, or a token of the identity provider.

        Raises
        ------
        UnauthenticatedError
            It is none that is in force; in the same words, whatever is wrong with it.
        StoreError, IssuerError
            The keys of this installation, or those of the provider, cannot be read.
        """
        if token.count(".") != _DOTS:
            return self.book.verify(token, now=_now())
        if self._oidc is None:
            raise not_accepted()
        return self._oidc.verify(token)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

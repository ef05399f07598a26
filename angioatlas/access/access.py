"""The keys and the trail of one installation, as those who run it use them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import final

from angioatlas.access.audit import Action, AuditTrail
from angioatlas.access.keys import KeyBook, KeyFacts
from angioatlas.access.principal import Principal, Scope
from angioatlas.access.recording import note, recorded
from core.settings import Settings


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
        """Return whose token this is, see `KeyBook.verify`."""
        return self.book.verify(token, now=_now())


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

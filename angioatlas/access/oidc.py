"""Bearer tokens of an identity provider (OpenID Connect): who holds one, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import jwt

from angioatlas.access.jwks import ALGORITHMS, ProviderKeys, checked_address
from angioatlas.access.principal import Principal, Scope, not_accepted
from core.errors import UsageError
from core.settings import ServeSettings

MOST_CHARACTERS: Final = 8192
"""Of a token; nothing of a longer one is read."""
_MOST_OF_A_NAME: Final = 200
_LEEWAY_S: Final = 30.0
"""By so much the provider's clock may differ."""


@final
class Oidc:
    """The tokens of one provider.

    Parameters
    ----------
    settings : ServeSettings
        With an issuer.

    Raises
    ------
    UsageError
        No audience is set, or an address is neither https nor one of this machine.
    """

    def __init__(self, settings: ServeSettings) -> None:
        if settings.oidc_issuer is None or settings.oidc_audience is None:
            raise UsageError(
                "serve.oidc_issuer and serve.oidc_audience go together",
                "without an audience, a token made for any other service would open this one",
            )
        self._issuer = checked_address(settings.oidc_issuer)
        self._audience = settings.oidc_audience
        self._name_claim = settings.oidc_name_claim
        self._scope_claim = settings.oidc_scope_claim
        self._scopes = settings.oidc_scopes
        self._keys = ProviderKeys(self._issuer, settings.oidc_jwks)

    def verify(self, token: str) -> Principal:
        """Return whose token this is.

        Raises
        ------
        UnauthenticatedError
            It is malformed, forged, expired, not yet valid, or made by or for somebody else: always
            in the same words.
        IssuerError
            The provider's keys cannot be fetched.
        """
        if len(token) > MOST_CHARACTERS:
            raise not_accepted()
        try:
            header = jwt.get_unverified_header(token)
            name = header.get("kid")
            # Looked at before the key: what is refused anyway fetches none.  Extensions (`crit`)
            # change what a token means, and none is known here.
            if (
                header.get("alg") not in ALGORITHMS
                or "crit" in header
                or not isinstance(name, str)
                or len(name) > _MOST_OF_A_NAME
            ):
                raise not_accepted()
            key = self._keys.get(name)
            if key is None:
                raise not_accepted()
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={
                    "require": ["exp", "iat", "iss", "aud"],
                    "enforce_minimum_key_length": True,
                },
            )
            return Principal(_name(claims, self._name_claim), self._granted(claims), "oidc")
        # A token may hold anything: whatever it breaks, it is none of ours.
        except (jwt.PyJWTError, UsageError, ValueError, TypeError, RecursionError):
            raise not_accepted() from None

    def _granted(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        given = _claim(claims, self._scope_claim)
        values = given.split() if isinstance(given, str) else given
        if not isinstance(values, list):
            return frozenset()
        known = (self._scopes.get(each) for each in values if isinstance(each, str))
        return frozenset(Scope(each) for each in known if each is not None)


def _name(claims: Mapping[str, Any], path: str) -> str:
    name = _claim(claims, path)
    if not isinstance(name, str):
        raise not_accepted()
    return name


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim by its name, or one inside another (``realm_access.roles``)."""
    if path in claims:  # names may have dots: https://example.org/roles
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found

"""The connection of a client: what is sent, and how answers are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from api.client_answers import reached, read, require_success
from core.closing import Closing

T = TypeVar("T")


class Connection(Closing):
    """What the parts of `api.client.Client` share; see there for the parameters."""

    def __init__(
        self,
        address: str,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx2.Client(
            base_url=address, headers=headers, timeout=timeout_s, transport=transport
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _pages(self, at: str, kind: type[T], options: Any) -> Iterator[T]:
        cursor = None
        while True:
            page = self._get(at, kind, **options, cursor=cursor)
            yield page
            cursor = page.next  # type: ignore[attr-defined]
            if cursor is None:
                return

    def _get(self, at: str, kind: type[T], **params: Any) -> T:
        return self._ask("GET", at, kind, params=given(**params))

    def _post(self, at: str, body: dict[str, Any], kind: type[T]) -> T:
        return self._ask("POST", at, kind, json=body)

    def _ask(self, method: str, at: str, kind: type[T], **sent: Any) -> T:
        return read(self._send(method, at, **sent), kind)

    def _download(self, at: str, file: Path, **params: Any) -> Path:
        """Write an answer to a file, which appears once it is whole."""
        part = file.with_name(f"{file.name}.part")
        try:
            with reached(), self._http.stream("GET", at, params=given(**params)) as answer:
                require_success(answer)
                with part.open("wb") as out:
                    for piece in answer.iter_bytes():
                        out.write(piece)
            return part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    def _send(self, method: str, at: str, **sent: Any) -> httpx2.Response:
        with reached():
            answer = self._http.request(method, at, **sent)
            require_success(answer)
        return answer


def in_path(name: str) -> str:
    """Return a name as a part of an address."""
    return quote(name, safe="")


def given(**params: Any) -> dict[str, Any]:
    """Return the parameters that are not None."""
    return {name: value for name, value in params.items() if value is not None}

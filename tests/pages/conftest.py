"""A reader of pages: a browser without JavaScript that looks at what the server sends."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from tests.harness import Shop


class Reader:
    def __init__(self, shop: Shop) -> None:
        self._client = FlaskClient(shop.app, Response)

    def opens(self, path: str, status: int = 200, **headers: str) -> TestResponse:
        """What a browser gets that asks for a page."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self._client.get(path, headers={"Accept": "text/html,*/*;q=0.8", **named})
        response.get_data()
        response.close()  # A file that is sent stays open until then.
        assert response.status_code == status, response.text
        return response

    def reads(self, path: str, status: int = 200) -> str:
        return self.opens(path, status).text


@pytest.fixture
def reader(shop: Shop) -> Reader:
    return Reader(shop)

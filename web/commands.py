"""What all our commands have in common: what goes wrong is one line, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask import Flask

from shop.errors import BadSettings, ShopError
from tasks.processes import fail

REFUSED = "oncecart.refused"
"""Where an application that could not be made keeps the reason, for `flask doctor`."""


class Command(click.Command):
    """A command that says in one line that a store is away, or what else the shop refuses, and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ShopError as error:
            raise click.ClickException(reason(error)) from error


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


def reason(error: ShopError) -> str:
    """An error and what is behind it, in one line."""
    behind = cause(error)
    return f"{error} ({behind})" if behind else str(error)


def cause(error: Exception) -> str:
    """The first line of what the store's driver said; empty when it was none."""
    origin = getattr(error.__cause__, "orig", None) or error.__cause__
    lines = str(origin).strip().splitlines() if origin else []
    return lines[0] if lines else ""


def one_line_under_flask(create_app: Callable[..., Flask]) -> Callable[..., Flask]:
    """Under the `flask` command, end with one line when the settings are bad; elsewhere let BadSettings out.

    `flask doctor` gets an application that has nothing but the doctor.
    """

    @wraps(create_app)
    def created(*given: Any, **named: Any) -> Flask:
        try:
            return create_app(*given, **named)
        except BadSettings as error:
            if click.get_current_context(silent=True) is None:
                raise
            if "doctor" not in sys.argv[1:]:
                fail(error)
            return _for_the_doctor(error)

    return created


def _for_the_doctor(error: BadSettings) -> Flask:
    from web.doctor import doctor_command

    app = Flask("oncecart")
    app.extensions[REFUSED] = error
    app.cli.add_command(doctor_command)
    return app

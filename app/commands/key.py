"""`python -m app key new NAME`: generation of API keys."""

import argparse

from rich.console import Console

from app.keys import ApiKey, entry_for, new_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = commands.add_parser("new", help="make a key")
    new.add_argument("name", type=_name, help="name of the key's owner: letters, digits, and _.-")


def run(args: argparse.Namespace) -> int:
    """Make a key and show it once."""
    key = new_key()
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"key, shown only now:          {key}")
    console.print(f"to add to ATELIER_API_KEYS:   {entry_for(args.name, key)}")
    return 0


def _name(text: str) -> str:
    try:
        named: ApiKey = entry_for(text, "")
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a name of 1 to 64 letters, digits, and _.-"
        ) from None
    return named.name

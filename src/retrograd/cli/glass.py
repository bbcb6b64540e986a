"""Show a recorded training run.

`retrograd glass report DIRECTORY` writes its page, one HTML file that works anywhere; `retrograd glass serve DIRECTORY` follows it
live on 127.0.0.1 while it is being written; `retrograd glass show DIRECTORY` prints losses, modules and findings.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words on its parser."""
    parser.add_argument("action", choices=("report", "serve", "show"), help="write the page, follow it live, or print")
    parser.add_argument("directory", metavar="DIRECTORY", help="what glass.record or run --glass wrote")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="report: the page's name; DIRECTORY/report.html by default"
    )
    parser.add_argument("--port", type=int, default=8765, help="serve: the port; 0 takes a free one")


def execute(arguments: argparse.Namespace) -> int:
    """Do it; 2 if the directory is no record."""
    from retrograd import glass

    folder = pathlib.Path(arguments.directory)
    try:
        if arguments.action == "serve":
            from retrograd.glass.serve import serve

            if not folder.is_dir():
                raise FileNotFoundError(f"there is no directory {folder}")
            serve(folder, read, arguments.port, lambda text: print(text, flush=True))
            return 0
        record = glass.open_record(folder)
        if arguments.action == "report":
            print(glass.report(arguments.output or folder / "report.html", record=record))
            return 0
        print(record)
        for found in record.findings():
            print(f"\n{found}")
    except (OSError, ValueError, ImportError) as error:
        print(f"retrograd glass: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Give what the live page shows of a record that may not have begun yet."""
    from retrograd import glass
    from retrograd.glass.report import gather

    try:
        return gather(record=glass.open_record(folder))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        from retrograd.glass.doctor.finding import Finding

        remedy = "open it with the version that wrote it, or record the run anew"
        said = Finding(
            "not-readable", "error", "this record cannot be read", "Nothing of it is shown.", str(error), remedy
        )
        return {"findings": [said.to_dict()]}

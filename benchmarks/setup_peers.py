"""Give each of the other implementations a virtual environment of its own, under benchmarks/.venvs/NAME.

python benchmarks/setup_peers.py
python benchmarks/setup_peers.py rectools recbole
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from peer_environments import REQUIREMENTS, set_up

from anime_bert4rec.command_line.script import script
from anime_bert4rec.support.errors import UserError


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Install the peers of benchmarks/compare.py.")
    parser.add_argument("peers", nargs="*", default=list(REQUIREMENTS), help=f"of {', '.join(REQUIREMENTS)} (all)")
    for peer in parser.parse_args(argv).peers:
        if peer not in REQUIREMENTS:
            raise UserError(f"there is no peer {peer!r}; there are {', '.join(REQUIREMENTS)}")
        set_up(peer)
    return 0


if __name__ == "__main__":
    sys.exit(main())

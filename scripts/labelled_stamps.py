"""A labelled folder for `evaluate zeroshot` and `probe`: the stamps of Tux Paint by category.

    python scripts/labelled_stamps.py STAMPS OUT [--held-out]

STAMPS is `/usr/share/tuxpaint/stamps` of Debian's `tuxpaint-stamps-default`. Each of its categories
becomes a class folder of links in OUT. The built-in model was trained on four fifths of them;
`--held-out` takes the others only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from train_builtin import is_held_out, stamps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stamps", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", action="store_true")
    args = parser.parse_args()
    for pair in stamps(args.stamps.resolve()):
        if args.held_out and not is_held_out(pair):
            continue
        category, *_, name = pair.path.relative_to(args.stamps.resolve()).parts
        folder = args.out / category
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / f"{len(list(folder.iterdir()))}-{name}"
        link.symlink_to(pair.path)


if __name__ == "__main__":
    main()

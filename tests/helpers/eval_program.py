"""A stand-in for `numdnc eval seed=N ..`: scores that follow from N.

It notes what it was called with in journal.txt in the working folder; with a file no-map.txt there, it refuses --graph.
"""

import json
import sys
from pathlib import Path

_, command, folder, *options = sys.argv
with Path("journal.txt").open("a") as file:
    file.write(" ".join([command, folder, *options]) + "\n")
if "--graph" in options and Path("no-map.txt").exists():
    sys.stderr.write("error: --graph must name a CSV file that can be read, got none. Check its name.\n")
    sys.exit(2)
number = int(folder.rpartition("=")[2]) + 1
sys.stdout.write(json.dumps({"sequence_error": number / 10, "held_out_bpc": number}))

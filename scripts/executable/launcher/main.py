"""What Python runs first in the executable: it says where things are, and starts the command line."""

import os
import sys

TREE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib takes time to import)

sys.path.append(f"{TREE}/site")
sys.argv[0] = "clusterup"
# The machine's own programs come first.
os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}:{TREE}/tools"
try:
    # Else it would be called what starts it, the loader.
    with open("/proc/self/comm", "w") as name:  # noqa: PTH123
        name.write("clusterup")
except OSError:
    # For those who look at processes alone.
    pass

from bootstrap.cli.start import start  # noqa: E402

start()

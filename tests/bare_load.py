"""Load a bundle as the training jobs do and print what came out, as JSON.

    python2.7 bare_load.py FILE
    python3 bare_load.py FILE [ENCODING]

Runs under Python 2.7 and 3 and uses nothing but NumPy.
"""

import hashlib
import json
import pickle
import sys
import time

import numpy as np


def peak():
    """Peak memory of this process in bytes.

    Not `ru_maxrss`: a process inherits that from the one that started it.
    """
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


before = peak()
began = time.time()
with open(sys.argv[1], "rb") as file:
    if len(sys.argv) > 2:
        loaded = pickle.load(file, encoding=sys.argv[2])
    else:
        loaded = pickle.load(file)
seconds = time.time() - began
needed = peak() - before

assert type(loaded) is tuple, type(loaded)
arrays = []
for array in loaded:
    assert type(array) is np.ndarray, type(array)
    arrays.append(
        {
            "shape": list(array.shape),
            "dtype": array.dtype.str,
            "c_contiguous": array.flags.c_contiguous,
            "writable": array.flags.writeable,
            "sha256": hashlib.sha256(array.data).hexdigest(),
        }
    )
    # The jobs slice, reverse, concatenate and write.
    first = array[:1].copy()
    array[0] = array[::-1][0]
    assert (array[0] == array[-1]).all()
    assert (np.concatenate((array[:1], first))[1] == first[0]).all()
    array[0] = first[0]

print(
    json.dumps(
        {
            "version": "%d.%d numpy %s"
            % (sys.version_info[0], sys.version_info[1], np.__version__),
            "arrays": arrays,
            "bytes": sum(array.nbytes for array in loaded),
            "needed": needed,
            "seconds": seconds,
        }
    )
)

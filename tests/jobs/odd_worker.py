"""The worker itself, with jobs that do what no job should."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from gateway.jobs import table, worker


def draw(args, arrays, generator, progress):
    """What a seed gives; with arrays: their sum."""
    print("a library talks")
    progress(0.5)
    return {"sum": float(sum(array.sum() for array in arrays.values()))}, {"normals": generator.standard_normal(args["n"])}


def sleep(args, arrays, generator, progress):
    progress(0.25)
    time.sleep(args["s"])
    return {}, {}


def die(args, arrays, generator, progress):
    print("the last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV) if args.get("signal") else os._exit(7)


def babble(args, arrays, generator, progress):
    """Bytes that are no message, on the very pipe of the answers."""
    os.write(progress._out.fileno(), bytes(args["bytes"]))
    time.sleep(60)


def fail(args, arrays, generator, progress):
    raise ZeroDivisionError("of its own making")


def refuse(args, arrays, generator, progress):
    raise table.Impossible("there is no tag 'x'")


def look(args, arrays, generator, progress):
    return {
        "pid": os.getpid(),
        "oom": int(Path("/proc/self/oom_score_adj").read_text()),
        "threads": os.environ["OPENBLAS_NUM_THREADS"],
        "secret": os.environ.get("EDGETWIN_TOKEN"),
    }, {}


def hog(args, arrays, generator, progress):
    return {}, {"all": np.zeros(10**15)}


if __name__ == "__main__":
    for function in (draw, sleep, die, babble, fail, refuse, look, hog):
        table.KINDS[function.__name__] = f"__main__:{function.__name__}"
    worker.main()

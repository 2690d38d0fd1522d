"""kill -9 at any moment: what was acknowledged is there, once, and the sequence has no gap."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.store.config import StoreConfig
from gateway.store.store import Store

from .committer import NOW, TAGS

RUNS = 20
SEED = random.randrange(2**32)
COMMITTER = Path(__file__).with_name("committer.py")
ROOT = Path(__file__).parents[2]


def start(directory, first, *prefix):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [*prefix, sys.executable, str(COMMITTER), str(directory), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def last_durable(lines, before):
    """Of the whole lines: the last one may be torn."""
    numbers = [int(line.split()[1]) for line in lines if line.startswith("durable") and line.endswith("\n")]
    return numbers[-1] if numbers else before


async def check(directory, acknowledged):
    """All that was acknowledged is there, at most one more, nothing twice; the next number to commit."""
    store = await Store.open(directory, StoreConfig(), TAGS, NOW)
    assert store.alarms_at_open == []
    series = await store.history.read(3, NOW, NOW + 10**9)
    n = series.value.size
    assert acknowledged + 1 <= n <= acknowledged + 2
    assert series.value.tolist() == list(range(n))
    assert await store.history.count(3) == n
    assert len(await store.journal.query(limit=10**6)) == n
    rows = await store.outbox.peek("mqtt/live", 10**6)
    assert [(row.seq, row.payload) for row in rows] == [(k + 1, b"%d" % k) for k in range(n)]
    restored = await store.restore()
    snapshot = int(restored.snapshot) if restored.snapshot else -1
    assert [now_ns - NOW for now_ns, _ in restored.steps] == list(range(snapshot + 1, n))
    await store.close()
    with sqlite3.connect(directory / "plant.db") as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return n


async def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path):
    chance, first = random.Random(SEED), 0
    for _ in range(RUNS):
        process = start(tmp_path, first)
        lines = [process.stdout.readline()]  # it is at work
        time.sleep(chance.uniform(0, 0.12))  # noqa: ASYNC251  the moment is what is tested
        process.send_signal(signal.SIGKILL)
        lines += process.communicate(timeout=20)[0].splitlines(keepends=True)
        first = await check(tmp_path, last_durable(lines, first - 1))
    assert first > RUNS, f"seed {SEED}"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
async def test_a_failed_fsync_is_never_trusted(tmp_path, fault):
    """The outcome of that commit is unknown; the same commit after a new open is there once."""
    inject = f"inject=fdatasync,fsync:error={fault}:when=60+40"
    process = start(tmp_path, 0, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", inject)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("durable") and sum(found.startswith("fault") for found in lines) >= 3:
            break
    kill_children(process.pid)
    lines += process.communicate(timeout=20)[0].splitlines(keepends=True)
    assert any(line.startswith("fault") for line in lines)
    await check(tmp_path, last_durable(lines, -1))


def kill_children(pid):
    """Of strace: it ends with the process that it watches."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
async def test_killed_in_the_middle_of_a_write_nothing_acknowledged_is_lost(tmp_path):
    """The process ends inside its n-th write to a file, wherever that falls in a transaction or a checkpoint."""
    chance, first = random.Random(SEED), 0
    for _ in range(6):
        first = await check(tmp_path, killed_at_write(tmp_path, first, chance.randrange(1, 500)))
    assert first > 0, f"seed {SEED}"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("n", [5, 9, 17, 23])
async def test_killed_while_the_files_are_made_the_next_start_makes_them(tmp_path, n):
    await check(tmp_path, killed_at_write(tmp_path, 0, n))


def killed_at_write(directory, first, n):
    """What was acknowledged before the n-th write to a file ended the process."""
    inject = f"inject=pwrite64:signal=KILL:when={n}"
    process = start(directory, first, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", inject)
    return last_durable(process.communicate(timeout=30)[0].splitlines(keepends=True), first - 1)


IN_A_SMALL_DISK = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=2m none "$0" && exec "$@"']


def small_disk_is_allowed(directory="/mnt"):
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*IN_A_SMALL_DISK, directory, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not small_disk_is_allowed(), reason="a file system of one's own is not permitted here")
def test_a_full_disk_stops_the_commits_and_room_lets_them_go_on(tmp_path):
    script = [sys.executable, str(Path(__file__).with_name("full_disk.py")), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [*IN_A_SMALL_DISK, str(tmp_path), *script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "whole"

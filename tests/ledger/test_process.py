from __future__ import annotations

import os
import subprocess
import sys

from terminator.ledger.provenance import hostname, is_alive, process_started, this_process


def test_this_process_lives() -> None:
    host, pid, started = this_process()
    assert (host, pid) == (hostname(), os.getpid())
    assert is_alive(host, pid, started) is True


def test_the_same_id_with_another_start_is_another_process() -> None:
    host, pid, started = this_process()
    assert is_alive(host, pid, f"{started}0") is False


def test_a_process_of_another_machine_is_unknown() -> None:
    assert is_alive("elsewhere.example.org", 1, "then") is None


def test_a_process_of_another_container_is_unknown() -> None:
    host, pid, started = this_process()
    boot, namespace, ticks = started.split("/")
    assert is_alive(host, pid, f"{boot}/pid:[1]/{ticks}") is None
    assert is_alive(host, pid, f"an earlier boot/{namespace}/{ticks}") is False


def test_an_unknown_process_does_not_live() -> None:
    assert is_alive(None, None, None) is False


def test_a_killed_process_does_not_live_even_while_its_parent_has_not_asked() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        started = process_started(child.pid)
        assert is_alive(hostname(), child.pid, started) is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet reaped: a zombie
        assert is_alive(hostname(), child.pid, started) is False
    assert process_started(child.pid) is None

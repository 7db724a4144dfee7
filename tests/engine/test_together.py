from __future__ import annotations

import threading

import pytest

from daskgmm.engine.together import run_together


def counts_to(n):
    """A member that adds up the results of n passes."""

    def member(one_pass):
        return [one_pass((n, i)) for i in range(n)]

    return member


class Passes:
    """Passes that note their arguments, and give them back."""

    def __init__(self) -> None:
        self.arguments: list[list[object]] = []
        self.threads: set[int] = set()

    def __call__(self, arguments):
        self.arguments.append(list(arguments))
        self.threads.add(threading.get_ident())
        return [("result of", argument) for argument in arguments]


@pytest.mark.parametrize("lengths", [[3], [1, 1], [2, 5, 3], [0, 4], [0, 0], []])
def test_members_share_passes_until_each_has_ended(lengths):
    passes = Passes()
    outcomes = run_together([counts_to(n) for n in lengths], passes)
    assert outcomes == [[("result of", (n, i)) for i in range(n)] for n in lengths]
    assert passes.arguments == [[(n, i) for n in lengths if i < n] for i in range(max(lengths, default=0))]


def test_passes_run_in_the_thread_that_asked():
    passes = Passes()
    run_together([counts_to(2), counts_to(2)], passes)
    assert passes.threads == {threading.get_ident()}


@pytest.mark.parametrize("n_members", [1, 2, 5])
def test_a_pass_that_fails_ends_every_member(n_members):
    ended = []

    def member(one_pass):
        try:
            one_pass(0)
        except RuntimeError:
            ended.append(True)
            raise

    def fails(arguments):
        raise RuntimeError("no pass")

    with pytest.raises(RuntimeError, match="no pass"):
        run_together([member] * n_members, fails)
    assert len(ended) == n_members


def test_an_interrupt_ends_every_member():
    def interrupts(arguments):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([counts_to(3), counts_to(2)], interrupts)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("daskgmm-member")]


def test_a_member_that_fails_leaves_the_others_to_their_end():
    done = []

    def fails(one_pass):
        one_pass(0)
        raise LookupError("member")

    def goes_on(one_pass):
        done.extend(one_pass(i) for i in range(4))

    with pytest.raises(LookupError, match="member"):
        run_together([fails, goes_on], Passes())
    assert len(done) == 4

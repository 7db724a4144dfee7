"""Computations that each need passes over the same data, run at the same time so that one pass serves them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Generic, TypeVar

__all__ = ["run_together"]

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Outcome = TypeVar("Outcome")


def run_together(
    members: Sequence[Callable[[Callable[[Argument], Result]], Outcome]],
    evaluate: Callable[[Sequence[Argument]], Sequence[Result]],
) -> list[Outcome]:
    """Run functions that ask for passes, and answer all that are waiting for one with the same pass.

    Parameters
    ----------
    members : sequence of callables
        Each is given a function that takes an argument and returns the result of a pass, and returns its outcome. They
        run in threads, which wait for each other: a pass begins when every member that has not ended asks for one.
    evaluate : callable
        (arguments) -> results, in one pass; called in this thread, with the arguments in the order of the members.

    Returns
    -------
    list
        The outcomes of the members.

    Raises
    ------
    Exception
        Whatever a pass raised, or else the first of the members that failed.
    """
    if len(members) == 1:
        return [members[0](lambda argument: evaluate([argument])[0])]
    meeting: _Meeting[Argument, Result] = _Meeting(len(members))
    with ThreadPoolExecutor(max(1, len(members)), thread_name_prefix="daskgmm-member") as pool:
        # In a context like the caller's: a Dask client may be ambient there alone.
        running = [
            pool.submit(copy_context().run, meeting.attend, index, member) for index, member in enumerate(members)
        ]
        try:
            meeting.serve(evaluate)
        except BaseException as error:
            # Interrupts included: members that wait would wait for ever.
            meeting.close(error)
            raise
    return [one.result() for one in running]


class _Meeting(Generic[Argument, Result]):
    """Where members wait for a pass."""

    def __init__(self, n_members: int) -> None:
        self._changed = threading.Condition()
        self._asked: dict[int, tuple[Argument, Future[Result]]] = {}
        self._n_running = n_members
        self._closed: BaseException | None = None

    def attend(self, index: int, member: Callable[[Callable[[Argument], Result]], Outcome]) -> Outcome:
        """Run a member in this thread."""
        try:
            return member(lambda argument: self._ask(index, argument))
        finally:
            with self._changed:
                self._n_running -= 1
                self._changed.notify_all()

    def _ask(self, index: int, argument: Argument) -> Result:
        answer: Future[Result] = Future()
        with self._changed:
            if self._closed is not None:
                raise self._closed
            self._asked[index] = argument, answer
            self._changed.notify_all()
        return answer.result()

    def serve(self, evaluate: Callable[[Sequence[Argument]], Sequence[Result]]) -> None:
        """Answer the members until all have ended."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._asked) == self._n_running)
                if not self._asked:
                    return
                asked = [self._asked[index] for index in sorted(self._asked)]
                # Kept where `close` finds them until they have their answers.
            results = evaluate([argument for argument, _ in asked])
            with self._changed:
                self._asked.clear()
            for (_, answer), result in zip(asked, results, strict=True):
                answer.set_result(result)

    def close(self, error: BaseException) -> None:
        """Give up: whoever waits, or will ask, gets the error."""
        with self._changed:
            self._closed = error
            for _, answer in self._asked.values():
                answer.set_exception(error)

from __future__ import annotations

from tests.benchmarks.scale import Cluster, Costs, pass_over, text

COSTS = Costs(task=1e-3, compute=5e8, network=1e9)


def test_tasks_grow_with_the_threads_and_not_with_the_data():
    tasks = [pass_over(Cluster(1000, 8, data, 16, 8), COSTS).n_tasks for data in (1e13, 1e14, 1e15)]
    assert max(tasks) <= 2 * min(tasks)
    assert pass_over(Cluster(10, 8, 1e14, 16, 8), COSTS).n_tasks < tasks[0] / 50


def test_the_parts_of_a_pass_are_those_done_by_hand():
    # 1 TB in 29,803 blocks on 100 threads: ranges of 32 blocks, 932 of them, and 117 + 15 + 2 + 1 merges.
    one = pass_over(Cluster(10, 10, 1e12, 256, 64), COSTS)
    assert one.n_tasks == 932 + 117 + 15 + 2 + 1
    assert abs(one.computing - 10 * 32 * 2**25 / 5e8) < 1e-9
    assert abs(one.parameters - 4 * 2 * 8 * 256 * 64**2 / 1e9) < 1e-9
    assert abs(one.merging - 4 * 7 * 8 * 256 * 64**2 / 1e9) < 1e-9
    assert "1,067 tasks" in text(Cluster(10, 10, 1e12, 256, 64), one)


def test_one_block_is_one_task():
    assert pass_over(Cluster(1, 1, 1e6, 2, 2), COSTS).n_tasks == 1

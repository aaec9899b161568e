from app.serving.fair_queue import FairQueue


def served(queue: FairQueue[str], count: int, **costs: int) -> str:
    """Take and charge `count` items; return their flows in order."""
    flows = []
    for _ in range(count):
        flow, _item = queue.take()
        queue.charge(flow, costs[flow])
        flows.append(flow)
    return "".join(flows)


def filled(**counts: int) -> FairQueue[str]:
    queue = FairQueue[str]()
    for flow, count in counts.items():
        for number in range(count):
            queue.put(flow, f"{flow}{number}")
    return queue


def test_items_of_one_flow_keep_their_order() -> None:
    queue = filled(a=3)
    assert [queue.take() for _ in range(3)] == [("a", "a0"), ("a", "a1"), ("a", "a2")]
    assert len(queue) == 0


def test_flows_of_equal_cost_take_turns() -> None:
    assert served(filled(a=5, b=3), 8, a=10, b=10) == "abababaa"


def test_turns_are_inversely_proportional_to_the_cost() -> None:
    flows = served(filled(a=20, b=20), 16, a=30, b=10)
    assert (flows.count("a"), flows.count("b")) == (4, 12)


def test_new_flow_is_next() -> None:
    queue = filled(a=100)
    assert served(queue, 50, a=7) == "a" * 50
    queue.put("b", "b0")
    assert served(queue, 2, a=7, b=7) == "ba"


def test_idle_flow_gets_no_credit() -> None:
    queue = filled(a=100, b=1)
    served(queue, 50, a=10, b=10)
    for number in range(20):
        queue.put("b", f"again {number}")
    assert served(queue, 10, a=10, b=10) == "bababababa"


def test_flow_with_one_item_at_a_time_keeps_its_debt() -> None:
    queue = filled(a=1, b=1)
    flows = ""
    for number in range(22):
        flows += served(queue, 1, a=100, b=10)
        queue.put(flows[-1], f"{number}")
    assert flows == "a" + "b" * 10 + "a" + "b" * 10


def test_late_charge_counts() -> None:
    queue = filled(a=2, b=3)
    assert served(queue, 2, a=1, b=10) == "ab"
    queue.charge("a", 20)
    assert served(queue, 3, a=1, b=10) == "bba"


def test_waiting_item_can_be_removed() -> None:
    queue = filled(a=2, b=1)
    assert queue.remove("a", "a0")
    assert queue.remove("b", "b0")
    assert queue.take() == ("a", "a1")
    assert not queue.remove("a", "a1")
    assert not queue.remove("c", "c0")
    assert len(queue) == 0


def test_newest_item_of_the_longest_flow_is_evicted() -> None:
    queue = filled(a=2, b=4, c=1)
    assert queue.evict_for("c") == "b3"
    assert queue.evict_for("d") == "b2"
    assert queue.evict_for("a") is None  # it would become the longest
    assert queue.evict_for("c") is None
    assert len(queue) == 5


def test_idle_flows_with_the_least_debt_are_forgotten() -> None:
    queue = FairQueue[str]()
    for number in range(10_000):
        flow = f"flow {number}"
        queue.put(flow, "item")
        served(queue, 1, **{flow: 10_000 - number})
    assert len(vars(queue)["_times"]) < 1100
    queue.put("flow 0", "item")
    queue.put("flow 9900", "item")
    assert queue.take()[0] == "flow 9900"

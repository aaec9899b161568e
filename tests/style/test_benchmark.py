import pytest

from app.style.vgg import VGG19
from benchmarks.stylize.__main__ import sooner
from benchmarks.stylize.floor import step_gflop

PEER = [
    {"t": 1.0, "delivered": 90.0, "float": 80.0},
    {"t": 60.0, "delivered": 50.0, "float": 30.0},
]


def test_times_to_reach_the_score_of_the_peer_are_compared() -> None:
    ours = [
        {"t": 1.0, "delivered": 70.0, "float": 70.0},
        {"t": 3.0, "delivered": 49.0, "float": 48.0},
        {"t": 9.0, "delivered": 45.0, "float": 44.0},
    ]
    assert "20.0x sooner" in sooner("delivered", 15, PEER, ours)
    assert "never (best 44)" in sooner("float", 4, PEER, ours)


def test_work_of_a_step_is_that_of_its_convolutions_and_gram_matrices(network: VGG19) -> None:
    assert step_gflop(network, 512 * 384) == pytest.approx(297.7, abs=0.1)

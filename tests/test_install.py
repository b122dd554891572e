"""Set-up is light: which PyTorch is installed, and how long an index that is silent may take."""

import socket
import time

import install
import pytest

WANTED = ["torch>=2.5", "torchvision>=0.20"]


@pytest.fixture
def bare_linux(monkeypatch):
    """Make this machine one with Linux, without a driver, not on Colab."""
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    monkeypatch.setattr(install, "has_nvidia_driver", lambda: False)
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    return monkeypatch


def test_without_a_driver_the_small_build_is_taken(bare_linux):
    bare_linux.setattr(install, "answers", lambda url: url.startswith(install.CPU_INDEX))
    arguments, news = install.torch_arguments("auto", WANTED)
    assert arguments == [*WANTED, "--index-url", install.CPU_INDEX]
    assert "no NVIDIA driver" in news
    assert "0.2 GB" in news


def test_an_index_that_does_not_answer_leaves_pypi(bare_linux):
    bare_linux.setattr(install, "answers", lambda url: False)
    arguments, news = install.torch_arguments("auto", WANTED)
    assert arguments == WANTED
    assert "did not answer" in news


@pytest.mark.parametrize("case", ["driver", "colab", "mac"])
def test_where_the_usual_build_is_right_the_index_is_not_even_asked(bare_linux, case):
    bare_linux.setattr(install, "answers", None)
    if case == "driver":
        bare_linux.setattr(install, "has_nvidia_driver", lambda: True)
    elif case == "colab":
        bare_linux.setenv("COLAB_RELEASE_TAG", "release")
    else:
        bare_linux.setattr(install.platform, "system", lambda: "Darwin")
    assert install.torch_arguments("auto", WANTED)[0] == WANTED


def test_the_reader_can_choose(bare_linux):
    bare_linux.setattr(install, "answers", None)
    assert install.torch_arguments("cpu", WANTED)[0][-1] == install.CPU_INDEX
    assert install.torch_arguments("pypi", WANTED)[0] == WANTED
    assert install.torch_arguments("torch==2.9.1 torchvision", WANTED)[0] == [
        "torch==2.9.1",
        "torchvision",
    ]


def test_a_silent_server_and_a_missing_one_cost_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not install.answers(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.3)
        assert time.monotonic() - started < 3
    assert not install.answers("http://127.0.0.1:1")

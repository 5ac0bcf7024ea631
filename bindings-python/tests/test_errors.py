from __future__ import annotations

import pickle

import pytest

import callsheet
from callsheet import _callsheet
from callsheet.memory import Memory


def test_every_code_has_its_class() -> None:
    for code, name, retryable in _callsheet.codes():
        kind = getattr(callsheet, name)
        assert issubclass(kind, callsheet.Error)
        assert (kind.code, kind.retryable) == (code, retryable)


def test_errors_are_what_python_expects_them_to_be() -> None:
    assert issubclass(callsheet.Timeout, TimeoutError)
    assert issubclass(callsheet.InvalidArgument, ValueError)
    assert issubclass(callsheet.Config, ValueError)
    assert issubclass(callsheet.NotFound, LookupError)
    error = callsheet.Timeout("too late")
    assert str(error) == "too late"
    assert str(pickle.loads(pickle.dumps(error))) == "too late"


def test_the_causes_are_kept(memory: Memory) -> None:
    memory.unreachable()
    with callsheet.connect(memory.url, timeout=0.2) as client:
        with pytest.raises(callsheet.Timeout) as caught:
            client.wait_for("billing", timeout=0.3)
        assert caught.value.retryable
        registration = client.register("billing", 80)
        with pytest.raises(callsheet.Timeout) as caught:
            registration.wait("registered", 0.1)
        cause = caught.value.__cause__
        assert isinstance(cause, callsheet.Unavailable)
        assert cause.code == "unavailable"
        assert str(cause) in str(caught.value)
        assert isinstance(registration.last_error, callsheet.Unavailable)
        memory.unreachable(False)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_panic_is_internal(waiting: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(callsheet.Internal, match="on purpose"):
        _callsheet.panic_on_purpose(waiting)
    assert "panicked" in capfd.readouterr().err


def test_what_is_not_there_is_not_found(client: callsheet.Client) -> None:
    with pytest.raises(callsheet.NotFound):
        client.registration("10.0.0.1:80")
    with pytest.raises(callsheet.NotFound):
        client.deregister("10.0.0.1:80")

"""Faults as text: kinds, operations, times, percentages, and errors."""

import pytest

from handinger_async import ConfigurationError
from handinger_async.operations import OPERATIONS, CreateTask, CreateWorker, RetrieveWorkerFile, StreamWorkerUpdates
from handinger_async.testing.fault_specs import ABBREVIATIONS, OPERATION_NAMES, parse_faults
from handinger_async.testing.faults import CloseConnection, Corrupt, Cut, Delay, Drop, Postpone, Refuse, Status, Trickle


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", []),
        ("drop, drop:0.5", [Drop(), Drop(after=0.5)]),
        ("refuse*3, drop@create", [Refuse(times=3), Drop(on=CreateWorker)]),
        ("postpone, postpone:20@task*2", [Postpone(), Postpone(20, on=CreateTask, times=2)]),
        ("503", [Status(503)]),
        ("429:0.5*all", [Status(429, retry_after=0.5, times=None)]),
        ("cut:120@stream*all%50", [Cut(120, on=StreamWorkerUpdates, times=None, chance=0.5)]),
        ("cut:5@retrieve-worker-file*2", [Cut(5, on=RetrieveWorkerFile, times=2)]),
        ("delay:2.5,trickle:3,corrupt:4,close", [Delay(2.5), Trickle(3), Corrupt(4), CloseConnection()]),
        ("delay,trickle,corrupt,cut", [Delay(1.0), Trickle(1), Corrupt(0), Cut(0)]),
    ],
)
def test_faults_are_parsed(text, faults):
    assert parse_faults(text) == faults


@pytest.mark.parametrize(
    "text", ["explode", "200", "drop@everything", "cut:", "cut:1.2.3", "drop*", "drop%", "drop drop", "drop@-create"]
)
def test_a_malformed_fault_is_an_error_that_quotes_it(text):
    with pytest.raises(ConfigurationError, match=text.split(maxsplit=1)[0].replace("*", r"\*").replace(".", r"\.")):
        parse_faults(text)


def test_every_operation_has_a_name():
    assert list(OPERATION_NAMES.values()) == list(OPERATIONS)
    for name, cls in OPERATION_NAMES.items():
        assert parse_faults(f"drop@{name}") == [Drop(on=cls)]
    assert {"create-worker", "retrieve-worker-file", "create-task"} <= OPERATION_NAMES.keys()


def test_every_abbreviation_stands_for_an_operation():
    for short, name in ABBREVIATIONS.items():
        assert parse_faults(f"drop@{short}") == [Drop(on=OPERATION_NAMES[name])]
    assert not ABBREVIATIONS.keys() & OPERATION_NAMES.keys()


def test_an_unknown_operation_is_an_error_with_all_names():
    with pytest.raises(ConfigurationError) as failure:
        parse_faults("drop@nothing")
    for name in [*OPERATION_NAMES, *ABBREVIATIONS]:
        assert name in str(failure.value)

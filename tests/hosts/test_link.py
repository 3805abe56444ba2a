"""Agreement among processes, played by threads with real connections."""

import contextlib
import re
import socket
import threading
import time

import pytest

from jaxnet.hosts.connection import check_process, exit_status
from jaxnet.hosts.link import HostError
from jaxnet.hosts.processes import Processes, current, entered
from jaxnet.hosts.rendezvous import join, listen, meet, parse_address


def test_all_get_the_values_of_all_in_their_order(group):
    links = group(3)
    assert (
        links.everywhere(lambda link: link.gather("a", [link.index, None]))
        == [[[0, None], [1, None], [2, None]]] * 3
    )
    large = "x" * 3_000_000
    assert links.everywhere(lambda link: link.gather("b", large)) == [[large] * 3] * 3


def test_channels_are_independent(group):
    def both(link):
        names = ("first", "second") if link.index else ("second", "first")
        results = {}
        threads = [
            threading.Thread(
                target=lambda name=name: results.update(
                    {name: link.gather("value", name, channel=name)}
                )
            )
            for name in names
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.01)
        for thread in threads:
            thread.join(30)
        return results

    expected = {"first": ["first"] * 2, "second": ["second"] * 2}
    assert group(2).everywhere(both) == [expected] * 2


def test_processes_at_different_points_are_an_error_on_all(group):
    errors = group(3).everywhere(lambda link: link.gather(f"step {link.index // 2}", None))
    assert all(isinstance(error, HostError) for error in errors)
    assert {str(error) for error in errors} == {
        "process 2 is at 'step 1', and process 0 at 'step 0'; run the same program with the same "
        "options on all processes"
    }


def test_what_differs_is_named_on_all(group):
    def compare(link):
        options = {"seed": 3, "model": {"rate": 0.1 if link.index != 1 else 0.2}}
        Processes(link).require_same("options", options, remedy="give the same")

    errors = group(3).everywhere(compare)
    assert [type(error) for error in errors] == [ValueError] * 3
    assert {str(error) for error in errors} == {
        "rate: process 1 has 0.2, and process 0 has 0.1; give the same"
    }
    assert group(2).everywhere(
        lambda link: Processes(link).require_same("options", {"seed": 3}, remedy="")
    ) == [None, None]


def test_a_function_of_the_first_process_runs_there_alone(group):
    called = []

    def function(link):
        return Processes(link).from_first("step", lambda: called.append(link.index) or 7)

    assert group(3).everywhere(function) == [7, 7, 7]
    assert called == [0]


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_a_process_that_dies_ends_all_others_with_one_message(group, dead):
    links = group(3)
    # Closes its connections and says nothing, as the operating system does for a killed process.
    links.links[dead].stop()
    others = [index for index in range(3) if index != dead]
    for ends in links.wait_for_ends(others):
        assert ends == [
            (
                f"process {dead} ended without a message, perhaps killed or out of memory; this "
                "process ends too",
                1,
            )
        ]
    with pytest.raises(HostError, match=f"process {dead} ended"):
        links.links[others[0]].gather("step", None)


def test_a_process_that_is_silent_counts_as_lost(group):
    links = group(2, silence=0.2)
    # Signs of life come every other second.
    ends = links.wait_for_ends([0])
    assert "process 1 has been silent for 0 s" in ends[0][0][0]


def test_an_error_of_one_process_reaches_those_that_wait(group):
    links = group(3)

    def work(link):
        if link.index == 1:
            return link.fail("no such file", 2)
        return link.gather("step", None)

    first, second, third = links.everywhere(work)
    assert second is None
    for error in (first, third):
        assert isinstance(error, HostError)
        assert (str(error), error.exit_status) == ("process 1: no such file", 2)


def test_an_error_of_one_process_ends_those_that_compute(group):
    links = group(3)
    links.links[2].fail("no such file", 2)
    assert links.wait_for_ends([0, 1]) == [[("process 2: no such file", 2)]] * 2


def test_the_same_error_on_all_processes_stays_their_own(group):
    for earlier in group(2).everywhere(lambda link: link.fail("rate must be positive", 2)):
        # One that comes later knows of the other, whose error is its own.
        assert earlier is None or "rate must be positive" in str(earlier)


def test_a_normal_end_is_no_loss(group):
    links = group(3)
    assert links.everywhere(lambda link: link.close()) == [None] * 3
    for link in links.links:
        link.stop()
    assert not any(links.ends.values())


def meeting(hellos, num_processes=2, timeout=20.0, facts=None):
    """Results or errors of process 0 and of processes that say the given hellos."""
    results = {}

    def call(name, function):
        try:
            results[name] = function()
        except ValueError as error:
            results[name] = str(error)

    with listen("127.0.0.1", 0) as server:
        port = server.getsockname()[1]
        calls = [
            lambda: meet(
                server,
                num_processes,
                {"jax": "1"} if facts is None else facts,
                {"port": 5},
                address="machine:1",
                timeout=timeout,
            )
        ]
        calls += [
            lambda hello=hello: join(["127.0.0.1"], port, hello, timeout=20.0) for hello in hellos
        ]
        threads = [threading.Thread(target=call, args=pair) for pair in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    for result in results.values():
        for connection in result.values() if isinstance(result, dict) else result[:1]:
            if isinstance(connection, socket.socket):
                connection.close()
    return [results[index] for index in range(len(calls))]


def hello(process, count=2, version="1"):
    return {"process_id": process, "num_processes": count, "facts": {"jax": version}}


def test_processes_meet():
    first, second, third = meeting([hello(2, 3), hello(1, 3)], 3)
    assert sorted(first) == [1, 2]
    assert second[1] == third[1] == {"port": 5}


@pytest.mark.parametrize(
    ("hellos", "message"),
    [
        ([hello(1, 3)], "num_processes: process 1 has 3, and process 0 has 2"),
        ([hello(1, version="2")], "jax: process 1 has 2, and process 0 has 1; install the same"),
        ([hello(5)], "process_id: 5 was given to two processes"),
        ([], r"of 2 processes, 1 did not come to machine:1 within 0 s; start each"),
    ],
)
def test_mistakes_are_errors_on_all(hellos, message):
    for result in meeting(hellos, timeout=20.0 if hellos else 0.1):
        assert re.search(message, result)


def test_another_program_at_the_port_is_no_process():
    def scan(port):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")

    with listen("127.0.0.1", 0) as server:
        scan(server.getsockname()[1])
        with pytest.raises(ValueError, match="1 did not come"):
            meet(server, 2, {}, {}, address="machine:1", timeout=0.1)
        with pytest.raises(ValueError, match="cannot be used on this machine"):
            listen("127.0.0.1", server.getsockname()[1])
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        thread = threading.Thread(target=lambda: other.accept()[0].close())
        thread.start()
        with pytest.raises(ValueError, match="is not process 0 of this program"):
            join(["127.0.0.1"], other.getsockname()[1], hello(1), timeout=5.0)
        thread.join()
        port = other.getsockname()[1]
    with pytest.raises(ValueError, match=r"process 0 is not reached at 127.0.0.1:\d+ within 0 s"):
        join(["127.0.0.1"], port, hello(1), timeout=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((None, 2, None), "num_processes is 2, but coordinator is not given"),
        (("auto", None, 1), "process_id is 1, but coordinator is auto"),
        (("machine:1", 2, None), "process_id is needed beside coordinator"),
        (("machine:1", 2, 2), r"process_id must be in \[0, 1\].*found 2"),
        (("machine:1", 0, 0), "num_processes must be at least 1, found 0"),
        (("machine", 2, 0), "coordinator must be HOST:PORT"),
        (("machine:99999", 2, 0), "coordinator must be HOST:PORT"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        check_process(*options)


def test_addresses_and_exit_statuses():
    assert parse_address("[fe80::1]:80") == ("fe80::1", 80)
    errors = [OSError(), ArithmeticError(), KeyboardInterrupt(), SystemExit(7), HostError("", 5)]
    assert [exit_status(error) for error in errors] == [2, 1, 130, 7, 5]


def test_the_current_processes_are_those_of_the_context():
    alone = current()
    with entered(Processes()) as processes:
        assert current() is processes
    assert current() is alone
    assert (alone.index, alone.count, alone.is_first) == (0, 1, True)

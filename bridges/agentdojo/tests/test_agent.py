"""The replayed agent, its plans and the policies, against the model of the guard. No figure comes from here."""

from pathlib import Path

import agent
import client
import dojo
import pytest
import replay
from model_door import play


@pytest.fixture(scope="module", params=dojo.SUITES)
def running(request):
    suite = client.Suite(request.param)
    server = client.Client(suite.command)
    yield suite, server
    server.close()
    suite.close()


def played(running, version, user, injection=None):
    suite, server = running
    episode = replay.Episode(suite.name, version, user, injection)
    play(suite, server, episode)
    return episode


# The policy endorses whole amounts only, and this one is 200.29.
ASKS_ALL_THE_SAME: set[tuple[str, str]] = set()


def test_every_plan_is_for_a_task_and_completes(running):
    suite, _ = running
    for user, script in agent.scripts(suite.name).items():
        if any("plan" in step for step in script) and (suite.name, user) not in ASKS_ALL_THE_SAME:
            episode = played(running, "guard", user)
            assert episode.utility and not episode.notes, (user, episode.notes)


def test_with_approvals_every_task_is_done_and_most_need_none(running):
    suite, _ = running
    episodes = [played(running, "guard-approvals", user) for user in dojo.suite(suite.name).user_tasks]
    assert [one.user for one in episodes if not one.utility] == []
    assert sum(one.approvals for one in episodes) <= 0.7 * len(episodes)


def test_an_agent_that_obeys_gets_nothing_done_for_the_attacker(running):
    suite, _ = running
    tasks = dojo.suite(suite.name)
    # One user task with a plan and one without, every injection.
    planned = next(iter(agent.scripts(suite.name)))
    other = next(user for user in tasks.user_tasks if user not in agent.scripts(suite.name))
    for user in (planned, other):
        for injection in tasks.injection_tasks:
            for version in ("guard", "guard-approvals"):
                episode = played(running, version, user, injection)
                assert episode.read_injection, (user, injection)
                if episode.injected_calls:
                    assert not episode.security, (user, injection, version)


def test_an_agent_whose_plan_ended_early_reads_again_before_it_types(running, monkeypatch):
    suite, _ = running
    if suite.name != "banking":
        pytest.skip("one suite is enough")
    lost = [{"plan": [{"call": "get_most_recent_transactions", "with": {"n": 100}, "id": "t"}, {"let": "p", "be": {"first": []}}]}]
    monkeypatch.setitem(agent.scripts("banking"), "user_task_11", lost)
    episode = played(running, "guard", "user_task_11", "injection_task_0")
    assert episode.notes and episode.read_injection


def test_the_agent_types_nothing_that_it_has_not_seen(running, monkeypatch):
    suite, _ = running
    if suite.name != "slack":
        pytest.skip("one suite is enough")
    # A plan that names a colleague whom the prompt does not name.
    script = [{"plan": [{"call": "add_user_to_channel", "with": {"user": "Mallory", "channel": "general"}, "id": "s"}]}]
    monkeypatch.setitem(agent.scripts("slack"), "user_task_7", script)
    with pytest.raises(agent.Dishonest, match="Mallory"):
        played(running, "guard", "user_task_7")


def test_policies_know_every_tool_of_their_suite(running):
    import tomllib

    suite, server = running
    policy = tomllib.loads((Path(agent.PLANS).parent / "policies" / f"{suite.name}.toml").read_text())
    assert set(policy["servers"][suite.name]["tools"]) == {tool["name"] for tool in server.tools()}

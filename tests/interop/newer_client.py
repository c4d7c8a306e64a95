"""Run every operation of the newer official client, which the path of this process names, against a server.

A program of its own, since one process has one "handinger". Its arguments are the URL and the id for a task; its output
is the token of the webhook. All runs of the service say "Yes."
"""

import asyncio
import sys

import handinger as official

SCHEMA = {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"]}


def use_templates(client: official.Handinger) -> str:
    template = client.workers.create(instructions="Check each claim.", output_schema=SCHEMA, visibility="private")
    assert (template.instructions, template.visibility) == ("Check each claim.", "private")
    assert template.output_schema == SCHEMA
    changed = client.workers.update(template.id, title="Facts", output_schema=None)
    assert (changed.title, changed.output_schema, changed.instructions) == ("Facts", None, "Check each claim.")
    assert client.workers.update(template.id, output_schema=SCHEMA).output_schema == SCHEMA
    assert "@" in client.workers.retrieve_email(template.id).email
    return template.id


def use_tasks(client: official.Handinger, worker_id: str, task_id: str) -> None:
    worker = client.tasks.create(input="Is water wet?", budget="low", worker_id=worker_id, task_id=task_id)
    assert (worker.id, worker.status, worker.running, worker.object) == (worker_id, "completed", False, "worker")
    assert worker.output_text == "Yes."
    assert set(worker.structured_output) == {"verdict"}
    assert worker.usage.credits > 0
    client.tasks.create(input="And ice?", task_id=task_id)
    found = client.tasks.retrieve(task_id)
    assert (found.task.id, found.task.worker_id, found.task.status) == (task_id, worker_id, "completed")
    assert [turn.input for turn in found.turns] == ["Is water wet?", "And ice?"]
    assert found.task.totals.credits == sum(turn.credits for turn in found.turns) > 0
    assert client.workers.retrieve(worker_id).output_text == "Yes."
    streamed = str(client.tasks.create(input="And steam?", worker_id=worker_id, stream=True))
    assert streamed.count("data: ") == str(client.workers.retrieve(worker_id, stream="true")).count("data: ") > 1


def use_webhooks(client: official.Handinger, worker_id: str) -> str:
    webhooks = client.workers.webhooks
    assert webhooks.retrieve(worker_id).token is None
    made = webhooks.update(worker_id, url="https://example.com/hook")
    client.tasks.create(input="x", worker_id=worker_id)
    executions = webhooks.list_executions(worker_id)
    while not executions.logs:  # the delivery begins when the task has ended
        executions = webhooks.list_executions(worker_id)
    (execution,) = executions.logs
    assert (execution.request_status, execution.response_status, execution.task_title) == ("success", 204, "x")
    assert (executions.page, executions.page_count, executions.total_count) == (1, 1, 1)
    assert webhooks.list_executions(worker_id, page=2).logs == []
    renewed = webhooks.regenerate_token(worker_id)
    assert (renewed.url, renewed.token != made.token) == (made.url, True)
    assert webhooks.update(worker_id, url=None).token is None
    assert webhooks.delete(worker_id).url is None
    return made.token


def use_schedules(client: official.Handinger, worker_id: str) -> None:
    schedules = client.workers.schedules
    whens = [
        {"date": "2030-01-01T00:00:00Z", "type": "scheduled"},
        {"delay_in_seconds": 3600, "type": "delayed"},
        {"cron": "0 9 * * *", "type": "cron"},
        {"interval_seconds": 3600, "type": "interval"},
    ]
    made = [schedules.create(worker_id, input="again", when=when) for when in whens]
    assert [schedule.id for schedule in schedules.list(worker_id).schedules] == [schedule.id for schedule in made]
    assert schedules.cancel(made[0].id, worker_id=worker_id).cancelled


def delete(client: official.Handinger, worker_id: str, task_id: str) -> None:
    assert client.tasks.delete(task_id).archived
    assert client.workers.delete(worker_id).deleted
    try:
        client.workers.retrieve(worker_id)
    except official.NotFoundError as error:
        assert isinstance(error.body["error"], str)  # noqa: PT017
    else:
        raise AssertionError("a deleted worker was retrieved")


async def run_asynchronously(url: str) -> None:
    async with official.AsyncHandinger(api_key="key", base_url=url) as client:
        worker = await client.tasks.create(input="What is the weather?")
        assert worker.output_text == "Yes."


def main(url: str, task_id: str) -> None:
    assert official.__version__ == "0.18.0"
    with official.Handinger(api_key="key", base_url=url) as client:
        worker_id = use_templates(client)
        use_tasks(client, worker_id, task_id)
        token = use_webhooks(client, worker_id)
        use_schedules(client, worker_id)
        delete(client, worker_id, task_id)
    asyncio.run(run_asynchronously(url))
    print(token)


if __name__ == "__main__":
    main(*sys.argv[1:])

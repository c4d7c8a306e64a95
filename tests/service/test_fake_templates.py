"""Worker templates of the in-memory service: settings, limits, schemas, visibility and soft deletes."""

import json

import pytest

from handinger_async import NotFoundError, PermissionDeniedError, UnprocessableEntityError
from handinger_async.http import Request
from handinger_async.operations import (
    CreateTask,
    CreateWorker,
    CreateWorkerTemplate,
    DeleteTask,
    DeleteWorker,
    ListTaskTurns,
    RetrieveTask,
    RetrieveWebhook,
    RetrieveWorker,
    UpdateWorker,
)
from handinger_async.testing import FakeHandinger, Step

pytestmark = pytest.mark.usefixtures("virtual_time")

SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["true", "false"]}, "score": {"type": "integer", "minimum": 3}},
    "required": ["verdict"],
}


def post(fake, path, body, method="POST"):
    """Send a JSON body; return the status and the JSON of the response."""
    response = fake(Request(method, path, {"Authorization": "Bearer test"}, json.dumps(body).encode()))
    return response.status, json.loads(response.body)


async def test_a_template_has_its_settings_and_runs_nothing(handinger, fake_handinger):
    made = await handinger.send(
        CreateWorkerTemplate(
            instructions="Check.", title="Checker", summary="s", visibility="private", output_schema=SCHEMA
        )
    )
    assert (made.instructions, made.title, made.summary, made.visibility) == ("Check.", "Checker", "s", "private")
    assert made.output_schema == SCHEMA
    assert (made.id[:4], made.user_id[:4], made.organization_id[:4]) == ("wrk_", "usr_", "org_")
    assert (made.created_at, made.updated_at) == ("2026-01-01T00:00:00.000Z", None)
    shown = await handinger.send(RetrieveWorker(made.id))
    assert (shown.status, shown.running, shown.messages, shown.output_text) == ("completed", False, [], "")
    assert not fake_handinger.runs


async def test_an_empty_template_gets_a_name_and_nulls(fake_handinger):
    status, body = post(fake_handinger, "/api/workers", {})
    assert status == 200
    assert body["title"]
    assert (body["instructions"], body["summary"], body["visibility"]) == ("", "", "public")
    assert [body[name] for name in ("outputSchema", "updatedAt")] == [None, None]


async def test_a_prompt_becomes_instructions_and_a_summary(handinger):
    made = await handinger.send(CreateWorkerTemplate(prompt="p" * 100))
    assert (made.instructions, made.summary) == ("p" * 100, "p" * 80)
    made = await handinger.send(CreateWorkerTemplate(prompt="p", instructions="i"))
    assert made.instructions == "i"


async def test_an_update_keeps_what_it_leaves_out(handinger):
    made = await handinger.send(CreateWorkerTemplate(instructions="i", title="t", output_schema=SCHEMA))
    changed = await handinger.send(UpdateWorker(made.id, title="new"))
    assert (changed.title, changed.instructions, changed.output_schema) == ("new", "i", SCHEMA)
    assert changed.updated_at is not None
    cleared = await handinger.send(UpdateWorker(made.id, output_schema=None))
    assert (cleared.title, cleared.output_schema) == ("new", None)


@pytest.mark.parametrize(
    "settings",
    [
        {"instructions": "x" * 20_001},
        {"prompt": "x" * 10_001},
        {"title": "x" * 201},
        {"title": ""},
        {"title": 1},
        {"summary": "x" * 81},
        {"visibility": "secret"},
        {"outputSchema": []},
        {"outputSchema": {"type": "text"}},
    ],
)
async def test_settings_beyond_their_limits_are_refused(fake_handinger, settings):
    status, body = post(fake_handinger, "/api/workers", settings)
    assert status == 422
    assert isinstance(body["error"], str)
    assert fake_handinger.workers == {}
    _, made = post(fake_handinger, "/api/workers", {})
    if "prompt" not in settings:
        assert post(fake_handinger, f"/api/workers/{made['id']}", settings, "PATCH")[0] == 422


async def test_tasks_of_a_template_with_a_schema_have_an_output_that_fits(handinger):
    made = await handinger.send(CreateWorkerTemplate(output_schema=SCHEMA))
    worker = await handinger.send(CreateTask(input="x", worker_id=made.id, task_id="t"))
    assert worker.structured_output == {"verdict": "true", "score": 3}
    (turn,) = (await handinger.send(ListTaskTurns("t"))).items
    assert turn.structured_output == worker.structured_output


async def test_a_script_may_give_the_structured_output(handinger, fake_handinger):
    fake_handinger.script(Step("x", fields={"structured_output": {"verdict": "false"}}))
    made = await handinger.send(CreateWorkerTemplate(output_schema=SCHEMA))
    worker = await handinger.send(CreateTask(input="x", worker_id=made.id))
    assert worker.structured_output == {"verdict": "false"}


async def test_a_task_without_a_schema_has_no_structured_output(handinger):
    worker = await handinger.send(CreateTask(input="x"))
    assert worker.structured_output is None
    await handinger.send(UpdateWorker(worker.id, output_schema=SCHEMA))
    assert (await handinger.send(RetrieveWorker(worker.id))).structured_output is None


async def test_a_deleted_worker_is_gone_and_its_tasks_are_kept(handinger, fake_handinger):
    worker = await handinger.send(CreateTask(input="x", task_id="t"))
    assert (await handinger.send(DeleteWorker(worker.id))).deleted
    assert fake_handinger.workers == {}
    for operation in (
        RetrieveWorker(worker.id),
        UpdateWorker(worker.id, title="t"),
        DeleteWorker(worker.id),
        RetrieveWebhook(worker.id),
        CreateTask(input="x", worker_id=worker.id),
        CreateTask(input="x", task_id="t"),
    ):
        with pytest.raises(NotFoundError):
            await handinger.send(operation)
    assert (await handinger.send(RetrieveTask("t"))).task.status == "completed"
    assert fake_handinger.runs == {"x": 1}


async def test_only_its_creator_changes_a_worker_and_sees_a_private_one():
    fake = FakeHandinger()
    async with fake.session(api_key="one") as one, fake.session(api_key="two") as two:
        made = await one.send(CreateWorkerTemplate(title="t"))
        await one.send(CreateTask(input="x", worker_id=made.id, task_id="t"))
        await two.send(RetrieveWorker(made.id))
        await two.send(RetrieveTask("t"))
        await two.send(CreateTask(input="x", worker_id=made.id))
        own = [UpdateWorker(made.id, title="x"), DeleteWorker(made.id), RetrieveWebhook(made.id), DeleteTask("t")]
        for operation in own:
            with pytest.raises(PermissionDeniedError) as failure:
                await two.send(operation)
            assert isinstance(failure.value.body["error"], str)
        await one.send(UpdateWorker(made.id, visibility="private"))
        private = [RetrieveWorker(made.id), RetrieveTask("t"), CreateTask(input="x", worker_id=made.id)]
        for operation in [*own, *private, CreateTask(input="x", task_id="t")]:
            with pytest.raises(PermissionDeniedError, match="private"):
                await two.send(operation)
        await one.send(CreateTask(input="y", task_id="t"))
    assert fake.runs == {"x": 2, "y": 1}


async def test_a_worker_of_the_older_generation_is_a_template_too(handinger):
    worker = await handinger.send(CreateWorker(input="Check."))
    changed = await handinger.send(UpdateWorker(worker.id, title="Checker"))
    assert (changed.instructions, changed.title) == ("Check.", "Checker")
    with pytest.raises(UnprocessableEntityError):
        await handinger.send(UpdateWorker(worker.id, summary="s" * 81))

"""Names of fields: those of the API reference on the wire, snake_case in Python."""

import json

import attrs

from handinger_async import _converter, models
from handinger_async.models import (
    Costs,
    CronWhen,
    CronWorkerSchedule,
    DelayedWhen,
    DelayedWorkerSchedule,
    DeleteTaskResponse,
    DeleteWorkerResponse,
    File,
    IntervalWhen,
    IntervalWorkerSchedule,
    Output,
    OutputContent,
    ScheduleCancelResponse,
    ScheduledWhen,
    ScheduledWorkerSchedule,
    ScheduleListResponse,
    Source,
    Task,
    TaskTotals,
    TaskTurnList,
    TaskWithTurns,
    Turn,
    UnknownWorkerSchedule,
    Usage,
    Webhook,
    WebhookExecution,
    WebhookExecutionList,
    Worker,
    WorkerTemplate,
)

from .documents import DOCUMENTS, places

#: The fields in the API reference, spelled as on the wire.
FIELDS = {
    Worker: "id created_at error files incomplete_details messages metadata object output output_text running sources "
    "status costs structured_output url usage",
    File: "filename mediaType size url",
    Output: "id content role status type",
    OutputContent: "text type",
    Source: "id title type url",
    Costs: "internalCostUsd modelCostUsd sandboxCostUsd toolCostUsd",
    Usage: "cacheReadTokens cacheWriteTokens costUsd inputTokens outputTokens reasoningTokens steps totalTokens "
    "credits durationMs",
    ScheduledWorkerSchedule: "id budget input nextRunAt",
    DelayedWorkerSchedule: "id budget input nextRunAt delayInSeconds",
    CronWorkerSchedule: "id budget input nextRunAt cron",
    IntervalWorkerSchedule: "id budget input nextRunAt intervalSeconds",
    ScheduleListResponse: "schedules timezone workerId",
    ScheduleCancelResponse: "cancelled",
    ScheduledWhen: "date",
    DelayedWhen: "delayInSeconds",
    CronWhen: "cron",
    IntervalWhen: "intervalSeconds",
    WorkerTemplate: "id createdAt instructions organizationId outputSchema summary title updatedAt url userId "
    "visibility",
    DeleteWorkerResponse: "deleted",
    Task: "id completedAt createdAt createdByUserId organizationId status title totals triggeredBy url workerId",
    TaskTotals: "credits durationMs turnCount",
    Turn: "id completedAt credits durationMs files input inputTokens outputText outputTokens role seq startedAt status "
    "structuredOutput taskId",
    TaskWithTurns: "task turns",
    TaskTurnList: "items taskId",
    DeleteTaskResponse: "archived",
    Webhook: "token url",
    WebhookExecution: "id createdAt durationMs errorMessage requestStatus responseStatus taskId taskTitle url workerId",
    WebhookExecutionList: "logs page pageCount totalCount",
}

MODELS = {cls for cls in vars(models).values() if isinstance(cls, type) and attrs.has(cls)}


def test_models_have_exactly_the_fields_of_the_reference() -> None:
    assert FIELDS.keys() == MODELS - {UnknownWorkerSchedule}
    for cls, names in FIELDS.items():
        own = {_converter.wire_name(cls, field.name) for field in attrs.fields(cls) if field.name != "extra"}
        assert own == set(names.split()), cls


def test_sample_documents_cover_every_field_of_the_reference() -> None:
    keys = {key for _, text in DOCUMENTS for _, _, key in places(json.loads(text))}
    assert keys == {name for names in FIELDS.values() for name in names.split()} - {"date"} | {"type"}


def test_every_response_model_has_extra() -> None:
    for cls in MODELS - {UnknownWorkerSchedule, ScheduledWhen, DelayedWhen, CronWhen, IntervalWhen}:
        assert "extra" in attrs.fields_dict(cls), cls


def test_attribute_names_are_snake_case() -> None:
    assert all(field.name == field.name.lower() for cls in MODELS for field in attrs.fields(cls))

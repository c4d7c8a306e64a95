"""The inside of `FakeHandinger`. A module imports only modules below it.

- `handlers`: the responses to operations, in a module per noun.
- `service`: the state that they share.
- `requests`, `webhooks`: the operation of a request; deliveries.
- `views`: workers, tasks and turns as the API shows them.
- `workers`, `tasks`: workers, and the timelines of their tasks.
- `schedules`, `files`, `usage`, `schemas`, `documents`: the parts of these.
- `recent`: lists that forget.
- `clock`, `errors`: the basis.
"""

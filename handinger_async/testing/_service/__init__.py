"""The inside of `FakeHandinger`. A module imports only modules below it.

- `state`: workers and their timelines.
- `schedules`, `files`, `usage`: the parts of a worker.
- `clock`, `errors`: the basis.
"""

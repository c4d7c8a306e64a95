"""A FastAPI application with one session, and its test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel

from handinger_async import Session, to_json
from handinger_async.testing import FakeHandinger, Step


class Comparison(BaseModel):
    best: str
    price: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Session() as app.state.session:
        yield


async def get_session(request: Request) -> Session:
    return request.app.state.session


OneSession = Annotated[Session, Depends(get_session)]
app = FastAPI(lifespan=lifespan)


@app.post("/comparisons")
async def compare(things: str, session: OneSession) -> Comparison:
    input = f"Compare {things}."
    outcome = await session.run(input, output_schema=Comparison, deadline=55)
    return outcome.structured_output


@app.get("/tasks/{task_id}")
async def show(task_id: str, session: OneSession) -> Response:
    task = await session.tasks.retrieve(task_id)
    return Response(to_json(task), media_type="application/json")


async def test() -> None:
    service = FakeHandinger()
    output = {"structured_output": {"best": "Tipi", "price": 300}}
    service.script(Step("The Tipi.", fields=output))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    async with service.session() as app.state.session, client:
        print((await client.post("http://app/comparisons?things=tents")).json())
        response = await client.get(f"http://app/tasks/{next(iter(service.tasks))}")
        print(response.json()["task"]["status"])


if __name__ == "__main__":
    asyncio.run(test())

"""The soak of the benchmarks, with few calls: nothing is lost, sent twice or left open."""

from benchmarks.soak import soak


async def test_short_soak_leaves_nothing_behind() -> None:
    result = await soak(seconds=1, seed=7, callers=20, min_calls=5)
    assert result["calls"] >= 400
    assert result["workers made"] > 10
    assert len(result["faults"]) == 9

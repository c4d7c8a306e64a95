"""The soak of the benchmarks, for a few seconds: nothing lost, nothing doubled, nothing left behind."""

from benchmarks.soak import soak


async def test_a_short_soak() -> None:
    result = await soak(seconds=3, seed=7, callers=20)
    assert result["calls"] > 100
    assert result["workers made"] > 10
    assert len(result["faults"]) == 9

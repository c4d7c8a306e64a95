"""Files saved in a directory, under the name that the server gives them; files that are not to be replaced."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from handinger_async import APIResponseValidationError, ConfigurationError, File, FileDownload
from handinger_async.testing.virtual_time import run

from .files import DATA, download, file, names, plan
from .service import Service

PLAN = {"Content_Disposition": 'attachment; filename="my plan.md"'}


def save(path: Any, response: Any = lambda request: plan(), **options: Any) -> Path:
    """Save a file, and return its path."""

    async def main() -> Path:
        async with Service(response).session() as session:
            return await download(session).save(path, **options)

    return run(main())


# Names ################################################################################################################


def folder_itself(folder: Path) -> Any:
    return folder


def with_slash(folder: Path) -> Any:
    return f"{folder}/"


def through_a_link(folder: Path) -> Any:
    (folder.parent / "link").symlink_to(folder)
    return folder.parent / "link"


@pytest.mark.parametrize("make", [folder_itself, with_slash, through_a_link, lambda folder: "folder"])
def test_name_in_a_directory_is_that_of_the_response(
    make: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    path = make(tmp_path / "folder")
    saved = save(path, file(DATA, **PLAN))
    assert saved == Path(path) / "my plan.md"
    assert saved.read_bytes() == DATA
    assert names(tmp_path / "folder") == ["my plan.md"]


def test_name_without_one_in_the_response_is_that_of_the_path(tmp_path: Path) -> None:
    assert save(tmp_path) == tmp_path / "plan.md"
    assert names(tmp_path) == ["plan.md"]


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..\\evil", "%2e%2e/evil", "a/../../evil"])
def test_name_from_the_server_does_not_leave_the_directory(name: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    quoted, encoded = name.replace("\\", "\\\\"), quote(name, safe="%")
    for value in (f'attachment; filename="{quoted}"', f"attachment; filename*=UTF-8''{encoded}"):
        assert save(tmp_path / "a" / "b", file(DATA, Content_Disposition=value)) == tmp_path / "a" / "b" / "evil"
    assert names(tmp_path / "a" / "b") == ["evil"]
    assert names(tmp_path) == ["a"]


def test_name_stays_after_an_interruption(tmp_path: Path) -> None:
    service = Service(file(DATA[:500], Content_Length="1000", **PLAN), file(DATA, Content_Disposition="; filename=x"))

    async def main() -> None:
        async with service.session() as session:
            assert (await download(session).save(tmp_path)).name == "my plan.md"

    run(main())
    assert names(tmp_path) == ["my plan.md"]


@pytest.mark.parametrize("kind", ["file", "directory", "nowhere"])
def test_symbolic_link_in_a_directory_is_replaced(kind: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"before")
    (tmp_path / "directory").mkdir()
    (tmp_path / "folder" / "plan.md").symlink_to(tmp_path / kind)
    target = save(tmp_path / "folder")
    assert not target.is_symlink()
    assert target.read_bytes() == DATA
    assert (tmp_path / "file").read_bytes() == b"before"
    assert names(tmp_path) == ["directory", "file", "folder"]


def test_permissions_of_a_replaced_file_in_a_directory_are_kept(tmp_path: Path) -> None:
    (tmp_path / "plan.md").touch(0o600)
    assert stat.S_IMODE(save(tmp_path).stat().st_mode) == 0o600


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(("make", "error"), [(a_folder, IsADirectoryError), (os.mkfifo, OSError)])
def test_directory_or_device_of_the_name_is_refused(make: Any, error: type[OSError], tmp_path: Path) -> None:
    make(tmp_path / "plan.md")
    with pytest.raises(error) as caught:
        save(tmp_path)
    assert caught.value.filename == str(tmp_path / "plan.md")
    assert names(tmp_path) == ["plan.md"]


def test_directory_that_is_not_writable_is_refused_before_any_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    service = Service(plan())

    async def main() -> None:
        async with service.session() as session:
            with pytest.raises(PermissionError) as caught:
                await download(session).save(tmp_path)
            assert caught.value.filename == str(tmp_path)

    run(main())
    assert not service.requests


# Existing files #######################################################################################################


@pytest.mark.parametrize("link", [False, True])
def test_existing_file_is_kept_and_nothing_sent_without_overwrite(link: bool, tmp_path: Path) -> None:
    target = tmp_path / "f"
    if link:
        target.symlink_to("nowhere")
    else:
        target.write_bytes(b"before")
    service = Service(lambda request: plan())

    async def main() -> None:
        async with service.session() as session:
            wanted = download(session)
            with pytest.raises(FileExistsError) as caught:
                await wanted.save(target, overwrite=False)
            assert caught.value.filename == str(target)
            assert not service.requests
            assert await wanted.read() == DATA

    run(main())
    assert names(tmp_path) == ["f"]
    assert link or target.read_bytes() == b"before"


def test_existing_file_in_a_directory_is_kept_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "plan.md").write_bytes(b"before")
    with pytest.raises(FileExistsError) as caught:
        save(tmp_path, overwrite=False)
    assert caught.value.filename == str(tmp_path / "plan.md")
    assert (tmp_path / "plan.md").read_bytes() == b"before"
    assert names(tmp_path) == ["plan.md"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("appears", [False, True])
def test_file_that_appears_meanwhile_is_kept_without_overwrite(
    appears: bool, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*args: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def respond(request: Any) -> Any:
        if appears:
            (tmp_path / "f").write_bytes(b"other")
        return plan()

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    if appears:
        with pytest.raises(FileExistsError):
            save(tmp_path / "f", respond, overwrite=False)
    else:
        save(tmp_path / "f", respond, overwrite=False)
    assert (tmp_path / "f").read_bytes() == (b"other" if appears else DATA)
    assert names(tmp_path) == ["f"]


def test_reserved_path_is_free_again_if_the_file_cannot_be_moved_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="Input/output"):
        save(tmp_path / "f", lambda request: plan(), overwrite=False)
    assert names(tmp_path) == []


# Sizes ################################################################################################################


@pytest.mark.parametrize("known", [False, True])
def test_file_beyond_the_maximum_size_ends_early(known: bool, tmp_path: Path) -> None:
    read = []

    def chunks() -> Any:
        for at in range(0, len(DATA), 1000):
            read.append(at)
            yield DATA[at : at + 1000]

    def respond(request: Any) -> Any:
        response = file(Content_Length=str(len(DATA))) if known else file()
        return type(response)(200, response.headers, chunks())

    with pytest.raises(APIResponseValidationError, match=r"larger than 2500 bytes \(max_size\).*status 200"):
        save(tmp_path / "f", respond, max_size=2500)
    assert read == ([] if known else [0, 1000, 2000])
    assert not names(tmp_path)


def test_file_of_exactly_the_maximum_size_is_saved(tmp_path: Path) -> None:
    assert save(tmp_path / "f", max_size=len(DATA)).read_bytes() == DATA


@pytest.mark.parametrize("options", [{"max_size": 0}, {"max_size": "1"}, {"max_size": True}, {"progress": 1}])
def test_malformed_option_is_a_configuration_error(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        save(tmp_path / "f", **options)
    assert not names(tmp_path)


# Attributes ###########################################################################################################


def test_attributes_of_a_download_are_those_of_its_response() -> None:
    async def main() -> None:
        response = file(b"abc", Content_Length="3", Content_Disposition='; filename="../a.txt"')
        async with Service(response).session() as session:
            wanted = download(session)
            assert (wanted.size, wanted.media_type, wanted.filename) == (None, "", "plan.md")
            async with wanted:
                assert (wanted.size, wanted.media_type, wanted.filename) == (3, "application/octet-stream", "a.txt")
            assert wanted.size == 3

    run(main())


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({"Content_Length": "5", "Content_Encoding": "gzip"}, None),
        ({"Content_Length": "9" * 5000}, None),
        ({"Content_Length": "x"}, None),
        ({"Content_Length": "1", "Content_Range": "bytes 2-2/30", "status": 206}, 30),
        ({"Content_Length": "1", "Content_Range": "bytes 2-2/*", "status": 206}, None),
    ],
)
def test_size_is_that_of_the_complete_file(headers: Any, size: int | None) -> None:
    async def main() -> None:
        async with (
            Service(file(b"a", **headers)).session(headers={"Range": "bytes=2-2"}) as session,
            download(session) as opened,
        ):
            assert opened.size == size

    run(main())


def test_attributes_of_a_published_file_are_known_before() -> None:
    async def main() -> None:
        known = File(media_type="text/markdown", url="/files/1", filename="dir/plan.md", size=7)
        async with Service(file(b"abc")).session() as session:
            wanted: FileDownload = session.download(known)
            assert (wanted.size, wanted.media_type, wanted.filename) == (7, "text/markdown", "plan.md")
            unnamed = session.download(File(media_type="", url="https://files.example/a%20b.txt?x=/c"))
            assert (unnamed.size, unnamed.filename) == (None, "a b.txt")

    run(main())

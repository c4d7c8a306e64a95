"""Paths that `save` refuses, and attributes of a replaced file that it keeps."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handinger_async import ConfigurationError
from handinger_async.testing.virtual_time import run

from .files import DATA, download, file, names, plan, save
from .service import Service

# The path #############################################################################################################


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def unix_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")  # a longer path may not fit
    return folder / "socket"


def folder_itself(folder: Path) -> Path:
    (folder / "folder").mkdir()
    return folder / "folder"


def link(folder: Path, target: Any) -> Path:
    (folder / "link").symlink_to(target)
    return folder / "link"


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "plan.md"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (fifo, "Not a regular file"),
        (unix_socket, "Not a regular file"),
        (lambda folder: f"{folder}/new/", FileNotFoundError),
        (lambda folder: folder / "nowhere" / "plan.md", FileNotFoundError),
        (lambda folder: folder / "nowhere" / ".." / "plan.md", FileNotFoundError),
        (lambda folder: "nowhere/plan.md", FileNotFoundError),
        (lambda folder: link(folder, folder / "nowhere" / "plan.md"), FileNotFoundError),
        (below_a_file, NotADirectoryError),
        (lambda folder: folder / ("x" * 300), "File name too long"),
        (lambda folder: f"{folder}/{'x/' * 3000}x", "File name too long"),
        (lambda folder: link(folder, "link"), "Too many levels of symbolic links"),
    ],
)
def test_path_that_cannot_be_a_file_is_refused_before_any_request(
    make: Callable[[Path], Any], error: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path)
    before = names(tmp_path)
    service = Service(lambda request: plan())

    async def main() -> None:
        async with service.session() as session:
            wanted = download(session)
            with pytest.raises(error if isinstance(error, type) else OSError) as caught:
                await wanted.save(path)
            assert caught.value.filename == os.fspath(path)
            assert caught.value.filename2 is None
            if isinstance(error, str):
                assert caught.value.strerror == error
            assert not service.requests
            assert names(tmp_path) == before
            await wanted.save("elsewhere")  # the download is as it was

    run(main())


def test_device_is_refused(tmp_path: Path) -> None:
    terminal = os.openpty()  # which root cannot replace, unlike other devices, if this fails
    try:
        name = os.ttyname(terminal[1])
        for path in (name, link(tmp_path, name)):
            with pytest.raises(OSError, match=f"Not a regular file: '{path}'"):
                save(path)
    finally:
        for descriptor in terminal:
            os.close(descriptor)


@pytest.mark.parametrize("path", [b"f", "", "a\0b", "\ud800", 1, None, object()])
def test_path_that_no_file_can_have_is_a_configuration_error(path: Any) -> None:
    async def main() -> None:
        service = Service(lambda request: plan())
        async with service.session() as session:
            wanted = download(session)
            with pytest.raises(ConfigurationError, match="path"):
                await wanted.save(path)
            assert not service.requests
            assert await wanted.read() == DATA

    run(main())


def test_path_like_object_of_bytes_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with os.scandir(os.fsencode(tmp_path)) as entries, pytest.raises(ConfigurationError, match="not bytes"):
        save(next(entries))


def test_relative_path_is_that_of_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def change_directory(request: Any) -> Any:
        os.chdir("elsewhere")
        return plan()

    save("plan.md", change_directory)
    assert names(tmp_path) == ["elsewhere", "plan.md"]


def test_file_name_from_the_server_is_ignored_where_the_path_has_one(tmp_path: Path) -> None:
    name = {"Content_Disposition": 'attachment; filename="../../evil"'}
    save(tmp_path / "f", file(b"x", **name))
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("exists", [False, True])
def test_symbolic_link_stays_one(exists: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    if exists:
        target.touch(0o600)
    save(link(tmp_path, target))
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == DATA
    assert names(tmp_path / "folder") == ["target"]
    if exists:
        assert stat.S_IMODE(target.stat().st_mode) == 0o600


# Permissions ##########################################################################################################


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file_follow_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save(tmp_path / "f")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o755, 0o444])
def test_permissions_of_a_replaced_file_are_kept(mode: int, tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.touch()
    target.chmod(mode)
    save(target)
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_bytes() == DATA


def test_set_user_id_is_not_kept(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.touch()
    target.chmod(0o6755)
    save(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_replacement_of_a_private_file_is_private_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "f"
    target.touch()
    target.chmod(0o600)
    modes = []

    def chmod(path: Path, mode: int) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))

    monkeypatch.setattr(Path, "chmod", chmod)
    save(target)
    assert modes == [0o600]

"""The file of results: found, kept, shared; damaged, read-only, written by several at once."""

import json
import os
import stat
import subprocess
import sys

import pytest

from vertebra.core.errors import ConfigError
from vertebra.core.tuning import store


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(store, "_said", set())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "tuning.json"


def test_kept_and_found(path, result):
    made = result()
    assert store.find(path, made.identity) is None
    store.keep(path, made)
    assert store.find(path, made.identity) == made
    assert store.find(path, "another") is None


def test_newer_ones_replace_older_ones(path, result):
    other = result(kernel="other", core="x60")
    store.add(path, [result(4.0), other])
    store.add(path, [result(3.0)])
    found = store.read(path)
    assert len(found) == 2 and found[other.identity] == other
    assert found[result().identity].trials[0].measured == 3.0


def test_nothing_is_kept_where_there_is_no_file(result):
    store.keep(None, result())
    assert store.find(None, result().identity) is None


@pytest.mark.parametrize(
    "text, file", [(None, "/f/vertebra-tuning.json"), ("/a/b.json", "/a/b.json"), ("0", None)]
)
def test_which_file(monkeypatch, text, file):
    monkeypatch.delenv("VERTEBRA_TUNING", raising=False)
    if text is not None:
        monkeypatch.setenv("VERTEBRA_TUNING", text)
    found = store.chosen("/f")
    assert (found if found is None else str(found)) == file


@pytest.mark.parametrize(
    "content, why",
    [
        (b"{", "Expecting property name"),
        (b"", "Expecting value"),
        (b"\xff\xfe", "can't decode byte 0xff"),
        (b"[]", '"format" is not vertebra-tuning-1'),
        (b'{"format": "vertebra-tuning-2"}', '"format" is not vertebra-tuning-1'),
        (b'{"format": "vertebra-tuning-1", "results": {"x": {}}}', "result x: it has no 'configs'"),
        (b'{"format": "vertebra-tuning-1", "results": []}', '"results" is not'),
    ],
)
def test_a_damaged_file_is_told_once_and_stays(path, result, capsys, content, why):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is no file of tuning results"):
        store.read(path)
    assert store.find(path, "x") is None
    store.keep(path, result())
    said = capsys.readouterr().err
    assert why in said and str(path) in said and "repair or delete it" in said
    assert said.count("vertebra: ") == 1 and "Traceback" not in said
    assert path.read_bytes() == content


def test_a_read_only_file_is_used_and_stays(path, result, capsys):
    store.add(path, [result()])
    path.chmod(0o444)
    before = path.read_bytes()
    store.keep(path, result(kernel="other"))
    store.keep(path, result(kernel="third"))
    assert store.find(path, result().identity) == result()
    said = capsys.readouterr().err
    assert said == f"vertebra: {path}: the file is read-only; results of tuning are not kept\n"
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be(tmp_path, result, capsys):
    (tmp_path / "file").write_text("")
    store.keep(tmp_path / "file" / "tuning.json", result())
    assert "results of tuning are not kept" in capsys.readouterr().err


def test_a_folder_in_its_place(tmp_path, result, capsys):
    assert store.find(tmp_path, "x") is None
    assert "Is a directory" in capsys.readouterr().err


def test_others_may_read_it(path, result):
    mask = os.umask(0o022)
    try:
        store.add(path, [result()])
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_unfinished_file_is_not_left(path, result, monkeypatch):
    store.add(path, [result()])
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space"):
        store.add(path, [result(2.0)])
    assert sorted(p.name for p in path.parent.iterdir()) == ["tuning.json", "tuning.json.lock"]
    assert store.read(path)[result().identity] == result()


WRITER = """
import json, sys
from pathlib import Path
from vertebra.core.tuning import store
from vertebra.core.tuning.records import from_json
entry = json.load(open(sys.argv[2]))
for number in range(10):
    store.add(Path(sys.argv[1]), [from_json(entry | {"source": f"{sys.argv[3]} {number}"})])
"""


def test_several_processes_lose_nothing(path, result, tmp_path):
    entry = tmp_path / "entry.json"
    entry.write_text(json.dumps(store.to_json(result())))
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(entry), str(number)])
        for number in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    sources = {found.subject.source for found in store.read(path).values()}
    assert sources == {f"{writer} {number}" for writer in range(4) for number in range(10)}


def test_selection(result):
    made = [
        result(kernel=k, core=c, date=d) for k, c, d in (("b", "x", "2"), ("a", "y", "3"), ("a", "x", "4"))
    ]
    known = {r.identity: r for r in made}
    assert store.select(known, None, None) == [made[2], made[1], made[0]]
    assert store.select(known, "a", None) == [made[2], made[1]]
    assert store.select(known, None, "x") == [made[2], made[0]]
    assert store.select(known, "a", "z") == []


def test_what_is_found_does_not_depend_on_the_names_in_the_file(path, result):
    store.add(path, [result()])
    entries = json.loads(path.read_text())
    (entry,) = entries["results"].values()
    entries["results"] = {"by hand": entry}
    path.write_text(json.dumps(entries))
    assert store.find(path, result().identity) == result()

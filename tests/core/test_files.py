"""Files as a whole or not at all, and what commands print."""

import os

import pytest

from masklstm._core.files import check_file, written_whole
from masklstm._core.terminal import complain, listed, say, shown


class TestWrittenWhole:
    def test_the_name_is_there_at_the_end_alone(self, tmp_path):
        path = tmp_path / "a.txt"
        with written_whole(path) as beside:
            assert (beside.parent, beside.suffix) == (tmp_path, ".txt")
            beside.write_text("new")
            assert not path.exists()
        assert path.read_text() == "new"
        assert os.listdir(tmp_path) == ["a.txt"]

    @pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
    def test_after_an_error_all_is_as_before(self, tmp_path, error):
        path = tmp_path / "a.txt"
        path.write_text("old")

        def write():
            with written_whole(path) as beside:
                beside.write_text("half")
                raise error

        with pytest.raises(error):
            write()
        with pytest.raises(FileNotFoundError), written_whole(path):
            pass  # nothing is written
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["a.txt"]

    def test_a_link_stays_one(self, tmp_path):
        (tmp_path / "folder").mkdir()
        link = tmp_path / "link.txt"
        link.symlink_to(tmp_path / "folder" / "a.txt")
        for text in ("new", "newer"):
            with written_whole(link) as beside:
                beside.write_text(text)
            assert link.is_symlink()
            assert (tmp_path / "folder" / "a.txt").read_text() == text

    def test_rights_are_those_of_a_new_file(self, tmp_path):
        (tmp_path / "usual.txt").write_text("")
        with written_whole(tmp_path / "a.txt") as beside:
            beside.write_text("")
        assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "usual.txt").stat().st_mode


def test_what_cannot_be_a_file_is_found_first(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_file(tmp_path)
    (tmp_path / "null.png").symlink_to("/dev/null")
    with pytest.raises(IsADirectoryError, match="a device"):
        check_file(tmp_path / "null.png")
    with pytest.raises(FileNotFoundError, match="no folder"):
        check_file(tmp_path / "no" / "a.txt")
    check_file(tmp_path / "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["null.png"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("débit (m³/s) 流量\u00a0", "débit (m³/s) 流量\u00a0"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc\r\x7f\x9b", r"a\nb\tc\r\x7f\x9b"),
        ("\u202egnp\u2028\ud800", r"\u202egnp\u2028\ud800"),
        (7, "7"),
    ],
)
def test_names_do_not_control_the_terminal(text, expected):
    assert shown(text) == expected


def test_lists_of_names_are_short():
    assert listed([]) == ""
    assert listed(["a", "b\n"]) == r"a, b\n"
    assert listed(map(str, range(200_000))).endswith(", 48, 49 and 199,950 more")


def test_lines_and_errors_are_printed_as_they_look(capsys):
    say("a\x1b[2J\nb")
    assert complain("demo", ValueError("a\x1b[2J\nb")) == 2
    printed = capsys.readouterr()
    assert printed.out == "a\\x1b[2J\nb\n"
    assert printed.err == "masklstm demo: error: a\\x1b[2J b\n"

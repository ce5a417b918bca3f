"""All that ftplib does with files. Arguments: stock or resuming, version of TLS, PASV or EPSV."""

import ftplib
import io
import random
import sys

from ftps import Resuming, login, refused

kind, version, passive = sys.argv[1:]
ftp = login({"stock": ftplib.FTP_TLS, "resuming": Resuming}[kind], version, passive)


def stored(name, rest=None):
    got = io.BytesIO()
    ftp.retrbinary("RETR " + name, got.write, rest=rest)
    return got.getvalue()


def store(name, content, rest=None):
    assert ftp.storbinary("STOR " + name, io.BytesIO(content), rest=rest).startswith("226")


# Content, both ways, also none.
chance = random.Random(1)
for size in [0, 1, 70_000, 3_000_000]:
    content = chance.randbytes(size)
    store("file", content)
    assert stored("file") == content, size
    assert ftp.size("file") == size

# From the middle.
assert stored("file", rest=2_000_000) == content[2_000_000:]
store("file", b"the end", rest=2_999_990)
assert stored("file") == content[:2_999_990] + b"the end"
assert ftp.storbinary("APPE file", io.BytesIO(b" and more")).startswith("226")
assert stored("file", rest=2_999_990) == b"the end and more"

# Text.
assert ftp.storlines("STOR text", io.BytesIO(b"one\ntwo\n")).startswith("226")
lines = []
ftp.retrlines("RETR text", lines.append)
assert lines == ["one", "two"], lines
assert stored("text") == b"one\ntwo\n"

# Names.
for name in ["two words", "käse & brot.txt", "文件 😀", 'a "quoted" name']:
    store(name, name.encode())
    assert stored(name) == name.encode()
    assert name in ftp.nlst(), ftp.nlst()
    assert name in dict(ftp.mlsd()), name
    ftp.delete(name)

# Listings.
assert ftp.mkd("dir") == "/dir"
assert ftp.mkd('quoted "dir"') == '/quoted "dir"'
facts = dict(ftp.mlsd())
assert facts["dir"]["type"] == "dir" and facts["text"]["type"] == "file", facts
assert int(facts["file"]["size"]) == 3_000_006, facts
assert sorted(ftp.nlst()) == ["dir", "file", 'quoted "dir"', "text"], ftp.nlst()
listing = []
ftp.dir(listing.append)
assert len(listing) == 4 and all(line[0] in "d-" for line in listing), listing
assert ftp.nlst("dir") == []

# Changes.
ftp.rename("text", "dir/words")
assert stored("dir/words") == b"one\ntwo\n"
ftp.cwd("dir")
assert ftp.pwd() == "/dir"
assert ftp.nlst() == ["words"]
with refused("550"):
    ftp.rmd("/dir")
ftp.delete("words")
ftp.cwd("..")
ftp.rmd("dir")
ftp.rmd('quoted "dir"')
ftp.delete("file")
assert ftp.nlst() == []
with refused("550"):
    stored("file")
ftp.quit()

"""Names that are easily taken for something else, each made, entered, told, listed, given and
taken as a directory and as a file. Arguments: version of TLS, the names."""

import io
import sys

from ftps import login

version, *names = sys.argv[1:]
ftp = login(version=version)
for name in names:
    assert ftp.mkd(name) == "/" + name, name
    ftp.cwd(name)
    assert ftp.pwd() == "/" + name, name
    assert ftp.storbinary("STOR " + name, io.BytesIO(name.encode())).startswith("226")
    assert ftp.nlst() == [name], (name, ftp.nlst())
    assert [name for name, facts in ftp.mlsd() if facts["type"] == "file"] == [name], name
    got = io.BytesIO()
    ftp.retrbinary("RETR " + name, got.write)
    assert got.getvalue() == name.encode(), name
    ftp.rename(name, "plain")
    ftp.rename("plain", "../other " + name)
    ftp.cwd("..")
    assert ftp.size("other " + name) == len(name.encode()), name
    ftp.rename(name, "plain")
    ftp.rename("plain", name)
    assert sorted(ftp.nlst()) == sorted([name, "other " + name]), ftp.nlst()
    ftp.rmd(name)
    ftp.delete("other " + name)
assert ftp.nlst() == []
ftp.quit()

"""ftplib in a folder that is mounted in the user's tree. Argument: where."""

import ftplib
import io
import sys

from ftps import login, refused

where = sys.argv[1]
ftp = login()
name = where.rsplit("/", 1)[1]
assert name in ftp.nlst(), ftp.nlst()
assert dict(ftp.mlsd())[name]["type"] == "dir"
ftp.cwd(where)
assert ftp.pwd() == where
assert ftp.storbinary("STOR by ftplib", io.BytesIO(b"content")).startswith("226")
assert ftp.size("by ftplib") == 7
ftp.rename("by ftplib", "renamed")
assert "renamed" in ftp.nlst()
ftp.delete("renamed")
ftp.cwd("..")
assert ftp.pwd() == where.rsplit("/", 1)[0] + "/", ftp.pwd()
with refused("550"):
    ftp.rmd(name)
with refused("550"):
    ftp.rename(name, "elsewhere")
ftp.quit()

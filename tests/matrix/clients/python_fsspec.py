"""fsspec's FTP file system with explicit TLS, in one session."""

import os

from fsspec.implementations.ftp import FTPFileSystem
from steps import MANY, NAMES, PART, lacks, step

files = FTPFileSystem(
    "localhost",
    port=int(os.environ["FTPS_PORT"]),
    username=os.environ["FTPS_USER"],
    password=os.environ["FTPS_PASSWORD"],
    timeout=20,
    tls=True,
    skip_instance_cache=True,
)

with step("list") as names:
    names += files.ls("/listed", detail=False)
with step("upload"):
    files.put_file("up", "/up")
with step("upload-empty"):
    files.put_file("empty", "/empty")
with step("download"):
    files.get_file("/down", "down")
lacks("resume-upload")
with step("resume-download"):
    rest = files.cat_file("/part-down", start=PART)
    with open("part-down", "ab") as target:
        target.write(rest)
with step("rename"):
    files.mv("/old", "/new")
with step("delete"):
    files.rm_file("/gone")
with step("names"):
    for name in NAMES:
        files.put_file("names/" + name, "/names/" + name)
        files.get_file("/names/" + name, "back-names/" + name)
with step("upload-200"):
    for name in MANY:
        files.put_file("many/" + name, "/many/" + name)
with step("download-200"):
    for name in MANY:
        files.get_file("/store/" + name, "back-many/" + name)

"""libcurl by way of pycurl, which Debian links to its GnuTLS build: one handle for everything but
the many files. Those go by eight handles at once, since this libcurl falls asleep for a second where
a reply comes at once, as it does from the same machine."""

import io
import os
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pycurl
from steps import MANY, NAMES, PART, step

one = pycurl.Curl()


def prepared(curl, path, **options):
    curl.reset()
    curl.setopt(pycurl.URL, f"ftp://localhost:{os.environ['FTPS_PORT']}/{urllib.parse.quote(path)}")
    curl.setopt(pycurl.USERPWD, os.environ["FTPS_USER"] + ":" + os.environ["FTPS_PASSWORD"])
    curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
    curl.setopt(pycurl.CAINFO, os.environ["FTPS_AUTHORITY"])
    curl.setopt(pycurl.IPRESOLVE, pycurl.IPRESOLVE_V4)
    if "FTPS_TLS" in os.environ:
        versions = {
            "1.2": pycurl.SSLVERSION_TLSv1_2 | pycurl.SSLVERSION_MAX_TLSv1_2,
            "1.3": pycurl.SSLVERSION_TLSv1_3,
        }
        curl.setopt(pycurl.SSLVERSION, versions[os.environ["FTPS_TLS"]])
    for option, value in options.items():
        curl.setopt(getattr(pycurl, option), value)


def up(local, remote, curl=one, **options):
    with open(local, "rb") as source:

        def seek(offset, whence):
            source.seek(offset, whence)

        prepared(
            curl,
            remote,
            UPLOAD=1,
            READDATA=source,
            SEEKFUNCTION=seek,
            INFILESIZE_LARGE=os.path.getsize(local),
            **options,
        )
        curl.perform()


def down(remote, local, mode="wb", curl=one, **options):
    with open(local, mode) as target:
        prepared(curl, remote, WRITEDATA=target, **options)
        curl.perform()


def in_eight(move):
    def share(names):
        curl = pycurl.Curl()
        for name in names:
            move(curl, name)
        curl.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(share, [MANY[start::8] for start in range(8)]))


with step("list") as names:
    listing = io.BytesIO()
    prepared(one, "listed/", DIRLISTONLY=1, WRITEDATA=listing)
    one.perform()
    names += listing.getvalue().decode().splitlines()
with step("upload"):
    up("up", "up")
with step("upload-empty"):
    up("empty", "empty")
with step("download"):
    down("down", "down")
with step("resume-upload"):
    up("part-up", "part-up", RESUME_FROM_LARGE=-1)
with step("resume-download"):
    down("part-down", "part-down", "ab", RESUME_FROM_LARGE=PART)
with step("rename"):
    prepared(one, "", QUOTE=["RNFR old", "RNTO new"], NOBODY=1)
    one.perform()
with step("delete"):
    prepared(one, "", QUOTE=["DELE gone"], NOBODY=1)
    one.perform()
with step("names"):
    for name in NAMES:
        up("names/" + name, "names/" + name)
        down("names/" + name, "back-names/" + name)
with step("upload-200"):
    in_eight(lambda curl, name: up("many/" + name, "many/" + name, curl))
with step("download-200"):
    in_eight(lambda curl, name: down("store/" + name, "back-many/" + name, curl=curl))

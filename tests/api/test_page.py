"""The files of the page and their headers. Their behavior is tested in tests/e2e."""

import re
import tomllib
from fnmatch import fnmatch

import httpx
import pytest

from app import web
from tests.service import ROOT

FILES = web.files()


def test_security_policy_of_the_page_allows_only_its_own_files(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["permissions-policy"] == "camera=(self), geolocation=(), microphone=()"
    assert page.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("css/base.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("samples/lake.jpg", "image/jpeg"),
        ("samples/digits.zip", "application/zip"),
    ],
)
def test_file_has_its_media_type_and_is_revalidated_by_etag(
    client: httpx.Client, name: str, media_type: str
) -> None:
    answer = client.get(f"/web/{name}")
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.content == FILES[name].read_bytes()
    etag = answer.headers["etag"]
    again = client.get(f"/web/{name}", headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == etag
    other = client.get(f"/web/{name}", headers={"If-None-Match": f'{etag[:-1]}x"'})
    assert other.status_code == 200


def test_unchanged_page_is_answered_with_304_and_the_current_policy(client: httpx.Client) -> None:
    page = client.get("/")
    again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "cache-control", "content-security-policy", "permissions-policy"):
        assert again.headers[name] == page.headers[name]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "samples",
        "none.js",
        "__init__.py",
        "draw.py",
        "..%2Fmain.py",
        "..%2F..%2Fdocs%2Fimages%2Fpage.jpg",
        "%2Fetc%2Fpasswd",
        "%00",
        "%00.js",
        f"{'x' * 300}.js",
    ],
)
def test_other_paths_are_answered_with_404(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/web/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_page_is_not_part_of_the_openapi_document(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert not any(path == "/" or path.startswith("/web") for path in paths)


def test_page_has_no_external_urls_and_no_inline_code() -> None:
    page = FILES["index.html"].read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page)
    for name, path in FILES.items():
        if path.suffix in {".html", ".js", ".css"}:
            urls = set(re.findall(r"https?://[^\s\"')]+", path.read_text()))
            assert urls <= {"http://www.w3.org/2000/svg"}, name
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(", path.read_text()
            )


def test_all_imported_modules_exist_and_all_modules_are_imported() -> None:
    used = {"main.js"}
    for name, path in FILES.items():
        if name.endswith(".js"):
            used |= set(re.findall(r'from "\./([\w-]+\.js)"', path.read_text()))
    assert used == {name for name in FILES if name.endswith(".js")}


def test_files_are_part_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["app.web"]
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in FILES)

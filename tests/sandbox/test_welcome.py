"""The page at the root of the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import requests
from sandbox_api import Api

from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field
from tests.browser import visited


def text_of(sandbox: Sandbox) -> str:
    answer = requests.get(sandbox.url, timeout=60)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


def test_page_has_what_the_sandbox_holds(any_sandbox: Sandbox):
    page = text_of(any_sandbox)
    rows = re.findall(r"<tr><td><code>(\w+)</code></td><td>([^<]*)</td><td>([\d,]+)</td>", page)
    assert {name: int(count.replace(",", "")) for name, _, count in rows} == {
        name: any_sandbox.count(name) for name in any_sandbox.instance.tables
    }
    assert f"export KAFINEA_URL={any_sandbox.url}\n" in page
    assert any_sandbox.access_key in page
    assert any_sandbox.control_token not in page


def test_requests_are_shown_without_secrets_and_contents(fresh: Sandbox, fresh_api: Api):
    fresh_api.query("SELECT lastname FROM Contacts WHERE lastname = '<b>Roux&amp;</b>';")
    element = json.dumps({"lastname": "Hidden", "assigned_user_id": "19x1"})
    fresh_api.post("create", elementType="Contacts", element=element)
    fresh_api.error("describe", elementType="Nowhere")
    page = text_of(fresh)
    shown = [
        re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr><td>\d\d:.*?</tr>", page)
    ]
    assert [row[1:3] for row in shown] == [
        ["GET", "describe"], ["POST", "create"], ["GET", "query"], ["POST", "login"],
        ["GET", "getchallenge"],
    ]  # fmt: skip
    assert shown[0][3:] == ["Nowhere", "1", "ACCESS_DENIED"]
    assert "&lt;b&gt;Roux&amp;amp;&lt;/b&gt;" in page
    secrets = [fresh_api.sid, "Hidden", *re.findall(r"accessKey=\w+", page)]
    assert [secret for secret in secrets if secret in page] == []


def test_page_is_for_browsers_on_this_machine_only(fresh: Sandbox):
    foreign = {"Origin": "http://evil.example"}
    assert requests.get(fresh.url, headers=foreign, timeout=60).status_code == 403
    assert requests.get(fresh.url, headers={"Host": "evil.example"}, timeout=60).status_code == 421
    assert requests.post(fresh.url, timeout=60).status_code == 404
    assert len(fresh.requests) == 0


def test_page_in_a_browser_shows_new_requests_and_copies(browser, fresh: Sandbox):
    label = "</script><img src=x onerror=\"alert('run')\">"
    fresh.redefine("Contacts", Field("cf_1", label))
    with visited(
        browser, f"{fresh.url}/", permissions=["clipboard-write", "clipboard-read"]
    ) as page:
        Api(fresh).query("SELECT id FROM Contacts;")
        page.locator("#requests td", has_text="SELECT id FROM Contacts;").wait_for()
        page.get_by_role("button", name="Copy").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"export KAFINEA_URL={fresh.url}\nexport KAFINEA_USERNAME=admin\n")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1400


def test_open_shows_the_page(tmp_path: Path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "kafinea_cli", "sandbox", "--rows", "100", "--open"]
    with subprocess.Popen(
        command, env={"BROWSER": str(browser), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            url = json.loads(process.stdout.readline())["url"]
            assert b"Preparing" in process.stderr.readline()
            assert f"at {url}, for this machine only." in process.stderr.readline().decode()
            while not (tmp_path / "opened").exists() or not (tmp_path / "opened").read_text():
                assert process.poll() is None
        finally:
            process.terminate()
            process.communicate(timeout=60)
    assert (tmp_path / "opened").read_text() == f"{url}\n"

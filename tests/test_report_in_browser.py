"""A report in a real browser: pictures decode, players play, the console is silent."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from sklearn_drm.lipspeech import Report
from sklearn_drm.lipspeech.pictures import spectrogram_pair
from sklearn_drm.lipspeech.report import audio_player, video_player

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "<script>console.error('ran')</script><img src=x onerror=alert(1)>\"'&"

# Before anything of the page runs.
_EARS = """<script>
window.heard = [];
addEventListener('error', e => heard.push(String(e.message || e.target.tagName)), true);
for (const name of ['error', 'warn']) console[name] = (...a) => heard.push(a.join(' '));
window.alert = text => heard.push('alert ' + text);
</script>"""
_EYES = """<script>
const known = player => new Promise(done => {
  player.onloadedmetadata = player.onerror = done;
  player.preload = 'auto';
  if (player.readyState) done(); else player.load();
});
addEventListener('load', async () => {
  const pictures = [...document.querySelectorAll('img')];
  await Promise.allSettled(pictures.map(p => p.decode()));
  const players = [...document.querySelectorAll('audio, video')];
  await Promise.all(players.map(known));
  fetch('/seen', {method: 'POST', body: JSON.stringify({
    pictures: pictures.map(p => p.complete ? p.naturalWidth : 0),
    players: players.map(p => [p.tagName, p.duration, p.error && p.error.message]),
    heard, title: document.title, scripts: document.scripts.length})});
});
</script>"""


def seen(page, folder):
    """What Chromium makes of a page."""
    replies = queue.Queue()
    page = page.replace("<head>", "<head>" + _EARS, 1)
    page = page.replace("</body>", _EYES + "</body>", 1).encode()

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/report.html"
            self.send_response(200 if found else 204)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            if found:
                self.wfile.write(page)

        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            replies.put(json.loads(content))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--mute-audio",
               "--disable-dev-shm-usage", f"--user-data-dir={folder}"]  # fmt: skip
    url = f"http://127.0.0.1:{server.server_port}/report.html"
    browser = subprocess.Popen(
        [BROWSER, *options, "--remote-debugging-port=0", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return replies.get(timeout=60)
    finally:
        browser.terminate()
        browser.wait(timeout=20)
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_a_report_in_chromium(tmp_path):
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal(12_000)
    frames = rng.integers(0, 255, (25, 64, 64)).astype(np.uint8)
    report = Report(EVIL, EVIL)
    report.section(EVIL, EVIL)
    report.picture(spectrogram_pair([(EVIL, sound, 12_000)]), EVIL)
    report.players(
        [
            audio_player(sound, 12_000, EVIL),
            video_player(frames, 25, sound, 12_000, EVIL),
        ]
    )
    page = report.to_html()
    result = seen(page, tmp_path / "profile")
    assert result["heard"] == []
    assert result["title"] == EVIL and result["scripts"] == 2
    assert len(result["pictures"]) == 1 and min(result["pictures"]) > 100
    assert {tag for tag, _, _ in result["players"]} == {"AUDIO", "VIDEO"}
    for _, duration, error in result["players"]:
        assert error is None and duration == pytest.approx(1, abs=0.15)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_the_browser_would_tell(tmp_path):
    broken = (
        "<html><head></head><body><img src='data:image/png;base64,AAAA'>"
        "<video src='data:video/mp4;base64,AAAA'></video>"
        "<script>null.x</script></body></html>"
    )
    result = seen(broken, tmp_path / "profile")
    assert result["pictures"] == [0] and result["players"][0][1] is None
    assert any("null" in line for line in result["heard"])

"""The start page in a real browser: what a person reads before, without and with a session."""

import asyncio
import json
import shutil
import time
from contextlib import asynccontextmanager

import httpx
from websockets.asyncio.client import connect

from gateway.model import quality
from gateway.model.alarm import AlarmRule, Limit, predicted
from gateway.model.forecast import Alert, Prediction
from gateway.web.config import WebConfig
from gateway.web.server import WebServer
from support.forecasts import outlook, prediction
from support.missing import missing
from support.waiting import eventually
from web.room import RULES, opened

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=390,844", "--remote-debugging-port=0"),
)


class Page:
    """One page of a browser, asked over the DevTools protocol."""

    def __init__(self, link):
        self._link, self._asked = link, 0

    async def evaluate(self, expression):
        self._asked += 1
        await self._link.send(json.dumps({"id": self._asked, "method": "Runtime.evaluate", "params": {"expression": expression}}))
        while True:
            answer = json.loads(await self._link.recv())
            if answer.get("id") == self._asked:
                return answer.get("result", {}).get("result", {}).get("value")  # nothing while the page is being replaced

    async def text(self):
        """What can be seen."""
        return await self.evaluate("document.body ? document.body.innerText : ''") or ""

    async def shows(self, *words):
        """The text, once it holds all of these words."""

        async def all_there():
            text = await self.text()
            return text if all(word in text for word in words) else ""

        return await eventually(all_there, 20, f"{words}")


@asynccontextmanager
async def looking(url, folder):
    """The page at that address, on a screen as wide as a phone's."""
    if BROWSER is None:
        missing("Chromium", "apt-get install chromium")
    process = await asyncio.create_subprocess_exec(
        str(BROWSER), *OPTIONS, f"--user-data-dir={folder}", url, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        port = folder / "DevToolsActivePort"
        await eventually(lambda: port.exists() and port.read_text().count("\n"), 30)
        async with httpx.AsyncClient() as client:

            async def found():
                listed = await client.get(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list")
                return next((each["webSocketDebuggerUrl"] for each in listed.json() if each["url"].startswith(url)), None)

            address = await eventually(found, 20)
        async with connect(address, max_size=None) as link:
            yield Page(link)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def serving(path, rules=RULES, **config):
    async with opened(path / "data", WebConfig(port=0, **config), rules=rules) as room:
        server = WebServer(room.app, "127.0.0.1", 0)
        await server.start()
        try:
            yield room, server, f"http://127.0.0.1:{server.port}"
        finally:
            await server.stop()


async def test_the_page_as_it_is_served_claims_nothing(local):
    page = (await local.get("/")).text
    assert "unknown: connecting" in page
    assert "No alarm is active" not in page


async def test_without_a_session_nothing_is_known_of_alarms(tmp_path):
    async with serving(tmp_path) as (_, _server, url), looking(url, tmp_path / "profile") as page:
        text = await page.shows("unknown: not signed in")
        assert "No alarm is active" not in text


_SIGN_IN = """(() => {
  const form = document.getElementById("sign-in");
  form.elements.user.value = "ann";
  form.elements.password.value = "PASSWORD";
  form.requestSubmit();
})()"""


async def test_a_person_signs_in_with_name_and_password_and_out_again(tmp_path):
    async with serving(tmp_path) as (room, _server, url), looking(url, tmp_path / "profile") as page:
        await room.people.users.add("ann", "operator", "kettle-drum-seven")
        await page.shows("unknown: not signed in", "Password")
        await page.evaluate(_SIGN_IN.replace("PASSWORD", "wrong"))
        await page.shows("wrong name or password")
        await page.evaluate(_SIGN_IN.replace("PASSWORD", "kettle-drum-seven"))
        await page.shows("ann (operator)", "No alarm is active")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.evaluate("document.getElementById('leave').click()")
        await page.shows("not signed in")


async def test_a_viewer_sees_symbols_labels_reasons_and_whole_numbers_but_no_button(tmp_path):
    async with serving(tmp_path, insecure=True, anonymous="viewer") as (room, _, url), looking(url, tmp_path / "profile") as page:
        await room.feed({"line.temperature": 28.25, "line.count": 1_767_225_600, "line.state": 1})
        text = await page.shows("28.25 °C", "1767225600", "running", "bad BadWaitingForInitialData", "too warm")
        assert "No alarm is active" not in text
        assert "unknown:" not in text
        assert "Acknowledge" not in text


async def test_what_a_person_entered_is_said_to_be_by_hand_and_other_statuses_by_name(tmp_path):
    async with serving(tmp_path, insecure=True, anonymous="viewer") as (room, _, url), looking(url, tmp_path / "profile") as page:
        await room.feed({"line.temperature": 21.123456789}, status=quality.GOOD_LOCAL_OVERRIDE)
        await room.feed({"line.count": 7}, status=0x00BA_0000)
        await page.shows("by hand GoodLocalOverride", "good GoodResultsMayBeIncomplete", "21.12")
        assert await page.evaluate("document.querySelector('#tags .number').title") == "21.123456789"


async def test_the_page_finds_the_gateway_again_by_itself_and_keeps_no_error(tmp_path):
    async with serving(tmp_path) as (room, server, url), looking(url, tmp_path / "profile") as page:
        await room.people.users.add("ann", "operator", "kettle-drum-seven")
        await page.shows("unknown: not signed in")
        await page.evaluate(_SIGN_IN.replace("PASSWORD", "kettle-drum-seven"))
        await page.shows("ann (operator)", "line.temperature")
        await server.stop()
        await page.shows("the gateway does not answer")
        room.sessions.revoke_user("ann")
        again = WebServer(room.app, "127.0.0.1", server.port)
        await again.start()
        try:
            text = await page.shows("sign in again", "Password")
            assert "line.temperature" not in text
            assert "does not answer" not in text
        finally:
            await again.stop()


async def test_a_spent_link_is_told_to_a_person_as_a_page_and_to_a_program_as_a_problem(local):
    answer = await local.get("/login", params={"link": "no"}, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "used before" in answer.text
    assert 'href="/"' in answer.text
    assert (await local.get("/login", params={"link": "no"})).headers["content-type"] == "application/problem+json"


async def test_no_alarm_is_said_only_while_the_gateway_says_so(tmp_path):
    async with serving(tmp_path, insecure=True, anonymous="viewer") as (_, server, url), looking(url, tmp_path / "profile") as page:
        await page.shows("No alarm is active")
        await server.stop()
        assert "No alarm is active" not in await page.shows("unknown: ")


async def test_who_may_acknowledge_reaches_the_button_on_a_phone(tmp_path):
    async with serving(tmp_path, insecure=True, anonymous="operator") as (room, _, url), looking(url, tmp_path / "profile") as page:
        await page.shows("No alarm is active")
        await room.feed({"line.temperature": 28.0})
        await page.shows("Acknowledge")
        assert await page.evaluate("document.querySelector('#alarms button').getBoundingClientRect().right <= innerWidth")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.evaluate("document.querySelector('#alarms button').click()")
        await eventually(lambda: "alarm.acknowledge" in room.executed)


async def test_the_documentation_fits_a_phone(tmp_path):
    async with serving(tmp_path) as (_, _server, url), looking(f"{url}/api/docs", tmp_path / "profile") as page:
        text = await page.shows("RFC 9457", "/api/v1/history", "at most so many")
        assert "`" not in text
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


_OPEN = "[...document.querySelectorAll('#tags button')].find((one) => one.textContent === 'NAME').click()"


async def test_a_tags_trend_goes_on_into_its_forecast_and_says_how_far_it_is_to_a_limit(tmp_path):
    async with serving(tmp_path, insecure=True, anonymous="viewer") as (room, _, url), looking(url, tmp_path / "profile") as page:
        for second in range(30):
            await room.feed({"line.temperature": 20.0 + second / 10})
        await page.shows("line.temperature")
        await page.evaluate(_OPEN.replace("NAME", "oven.temperature"))
        await page.shows("No forecast yet")
        await page.evaluate("document.getElementById('trend-close').click()")
        told = [prediction("HI", 0.4, 240.0, 24.0, room.now_ns), prediction("LO", 0.0, float("nan"), 10.0, room.now_ns)]
        room.forecasts.issue(outlook(room.now_ns, [[22.9 + k / 10 for k in range(20)]], predictions=[told]))
        await page.evaluate(_OPEN.replace("NAME", "line.temperature"))
        text = await page.shows("now 22.9 °C; in 3 s 23.1 °C, 90 % between 22.1 and 24.1; HI (24 °C) in about 4 min, probability 40 %")
        assert "LO" not in text.partition("now 22.9")[2].partition("\n")[0]
        assert "Model kalman, skill 0.25." in text
        for part in ("band", "measured", "foreseen", "now", "limit"):
            assert await page.evaluate(f"document.querySelectorAll('#trend-chart .{part}').length") == 1
        assert (await page.evaluate("document.querySelector('.band').getAttribute('points')")).count(",") == 40
        assert await page.evaluate("document.querySelectorAll('#trend-table tr').length") == 5
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        room.forecasts.tags = (4,)
        await page.evaluate("drawTrend()")
        await page.shows("No forecast: line.temperature is not forecast")


async def test_predicted_limits_stand_apart_from_the_alarms(tmp_path):
    rule = AlarmRule(0, "line.temperature", Limit.HI, 27.0, severity=500, message="too warm")
    async with (
        serving(tmp_path, rules=(rule, *predicted((rule,), 200)), insecure=True, anonymous="viewer") as (room, _, url),
        looking(url, tmp_path / "profile") as page,
    ):
        await room.feed({"line.temperature": 22.0})
        await page.shows("No alarm is active")
        assert await page.evaluate("document.getElementById('foreseen').hidden")
        for probability, minutes in ((0.8, 12), (0.94, 8)):
            told = Prediction("HI", 27.0, probability, 60.0, 60.0 * minutes, float("nan"), time.time_ns(), "drift")
            room._take(room.engine.foretell([Alert("line.temperature/Forecast/HI", True, told)], room.now_ns))
            await page.evaluate("foresee().catch(() => {})")
            text = await page.shows("Expected limits", f"≈ {minutes} min", f"{probability:.0%}".replace("%", " %"))
            assert "No alarm is active" in text
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        room._take(room.engine.foretell([Alert("line.temperature/Forecast/HI", False, told)], room.now_ns))
        assert "94 %" not in await page.shows("over", "returned, not acknowledged")
        room._take(room.engine.acknowledge("line.temperature/Forecast/HI", room.now_ns, "anna", ""))
        await eventually(lambda: page.evaluate("document.getElementById('foreseen').hidden"))

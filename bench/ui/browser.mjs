// A page of headless Chromium over the DevTools protocol, for the scripts beside this one.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/// Starts a browser with one page. `said` gathers what must not be there: errors, dialogs, reports of the Content-Security-Policy.
export async function open(chromium) {
  const profile = mkdtempSync(join(tmpdir(), "ostrom-axe-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--hide-scrollbars"];
  // A pipe and not a port: nobody else on this machine can reach it.
  const browser = spawn(chromium, [...flags, "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  });
  browser.on("error", (error) => {
    console.error(`cannot start ${chromium}: ${error.message}`);
    process.exit(2);
  });
  let last = 0;
  const waiting = new Map();
  const listeners = new Set();
  let rest = Buffer.alloc(0);
  browser.stdio[4].on("data", (data) => {
    rest = Buffer.concat([rest, data]);
    for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
      take(JSON.parse(rest.subarray(0, end).toString()));
      rest = rest.subarray(end + 1);
    }
  });
  function take(message) {
    if (message.id) {
      const { done, fail } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) fail(new Error(message.error.message));
      else done(message.result);
    } else for (const listen of listeners) listen(message);
  }
  const { targetInfos } = await call("Target.getTargets");
  const { sessionId } = await call("Target.attachToTarget", { targetId: targetInfos.find((t) => t.type === "page").targetId, flatten: true });
  function call(method, params = {}, session) {
    const id = ++last;
    return new Promise((done, fail) => {
      waiting.set(id, { done, fail });
      browser.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: session })}\0`);
    });
  }
  const page = (method, params) => call(method, params, sessionId);
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await page("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  const tab = { said: [], page, evaluate };
  listeners.add((message) => {
    if (message.method === "Log.entryAdded") {
      const { level, text, url } = message.params.entry;
      // The status of a page that is meant to be an error is no finding.
      if (level === "error" && !/status of 4\d\d/.test(text)) tab.said.push(`${text} ${url ?? ""}`);
    }
    if (message.method === "Runtime.exceptionThrown") tab.said.push(message.params.exceptionDetails.text);
    if (message.method === "Page.javascriptDialogOpening") {
      tab.said.push(`dialog: ${message.params.message}`);
      page("Page.handleJavaScriptDialog", { accept: false });
    }
  });
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await page(`${domain}.enable`);
  const loaded = () =>
    new Promise((done) => {
      const listen = (message) => {
        if (message.method === "Page.loadEventFired") {
          listeners.delete(listen);
          done();
        }
      };
      listeners.add(listen);
    });
  tab.size = (width) => page("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
  tab.colours = (value) => page("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value }] });
  tab.go = async (url) => {
    const done = loaded();
    await page("Page.navigate", { url });
    await done;
  };
  /// Does something that leads to another page.
  tab.act = async (expression) => {
    const done = loaded();
    await evaluate(expression);
    await done;
  };
  tab.shot = async (folder, name) => {
    mkdirSync(folder, { recursive: true });
    const { data } = await page("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(join(folder, `${name}.png`), Buffer.from(data, "base64"));
  };
  /// What axe-core and the page's width say, as lines.
  tab.problems = async (axe) => {
    await evaluate(axe);
    const result = await evaluate(`axe.run(document, { resultTypes: ["violations"] }).then((r) => JSON.stringify(r.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 4).map((n) => n.target.join(" ") + " :: " + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? "")) }))))`);
    const problems = tab.said.splice(0).map((text) => `browser: ${text}`);
    const wide = await evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    if (wide > 0) {
      const who = await evaluate("[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.table-wrap, pre, .unseen, .skip')).slice(0, 4).map((e) => e.tagName + '.' + e.getAttribute('class')).join(' ')");
      problems.push(`wider than the window by ${wide} px: ${who}`);
    }
    for (const violation of JSON.parse(result)) problems.push(`axe ${violation.id} (${violation.impact}): ${violation.help}\n      ${violation.nodes.join("\n      ")}`);
    return problems;
  };
  tab.close = async () => {
    const ended = new Promise((done) => browser.on("exit", done));
    browser.kill();
    await ended;
    try {
      rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
    } catch (error) {
      // A child of the browser still writes there. It is a temporary folder, and says nothing about the pages.
      console.error(`left behind: ${profile} (${error.code})`);
    }
  };
  return tab;
}

/// axe-core, which npm put into a folder.
export function readAxe(modules) {
  try {
    return readFileSync(join(modules, "node_modules/axe-core/axe.min.js"), "utf8");
  } catch {
    console.error("axe-core is not there: `npm ci` in bench/ui, or --modules with the folder that has it (bench/ui/look.sh does that)");
    process.exit(2);
  }
}

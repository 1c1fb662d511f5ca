// Looks at pages in headless Chromium: axe-core's rules, messages of the Content-Security-Policy, errors of scripts, and pages that are wider
// than the window. Ends with status 1 if it finds anything, 2 if it could not look.
//
//   node axe.mjs --folder FOLDER [--shots FOLDER]              the output of `cargo run -p ostrom-node --example pages -- FOLDER`
//   node axe.mjs --url URL [--cookie NAME=VALUE] [--path PATH]… a running node
//
// axe-core comes from npm, pinned: `npm install --no-save axe-core@4.14.1` in a folder given as --modules (default: this folder).
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";

const options = { path: [], modules: import.meta.dirname, chromium: "chromium", width: ["1280", "380"], theme: [] };
for (let at = 2; at < process.argv.length; at += 2) {
  const name = process.argv[at].replace(/^--/, "");
  const value = process.argv[at + 1];
  if (name === "path") options.path.push(value);
  else if (name === "width") options.width = value.split(",");
  else if (name === "only") options.only = value;
  else options[name] = value;
}
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const KINDS = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };

let base = options.url;
let paths = options.path;
let server;
if (options.folder) {
  server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)).replace(/^(\.\.[/\\])+/, "");
    try {
      const body = readFileSync(join(options.folder, path));
      response.writeHead(200, { "content-type": KINDS[path.split(".").pop()] ?? "text/plain", "content-security-policy": CSP });
      response.end(body);
    } catch {
      response.writeHead(404, { "content-security-policy": CSP });
      response.end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${server.address().port}`;
  paths = readdirSync(options.folder).filter((name) => name.endsWith(".html")).sort().map((name) => `/${name}`);
  if (options.only) paths = paths.filter((path) => options.only.split(",").some((part) => path.startsWith(`/${part}.`)));
}
if (!base || paths.length === 0) {
  console.error("give --folder, or --url and at least one --path");
  process.exit(2);
}
const axe = readFileSync(join(options.modules, "node_modules/axe-core/axe.min.js"), "utf8");
if (options.shots) mkdirSync(options.shots, { recursive: true });

const profile = mkdtempSync(join(tmpdir(), "ostrom-axe-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--hide-scrollbars"];
// A pipe and not a port: nobody else on this machine can reach it.
const browser = spawn(options.chromium, [...flags, "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"], {
  stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
});
browser.on("error", (error) => {
  console.error(`cannot start ${options.chromium}: ${error.message}`);
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

let said = [];
listeners.add((message) => {
  if (message.method === "Log.entryAdded") {
    const { level, text, url } = message.params.entry;
    // The status of a page that is meant to be an error is no finding.
    if (level === "error" && !/status of 40[34]/.test(text)) said.push(`${text} ${url ?? ""}`);
  }
  if (message.method === "Runtime.exceptionThrown") said.push(message.params.exceptionDetails.text);
  if (message.method === "Page.javascriptDialogOpening") {
    said.push(`dialog: ${message.params.message}`);
    page("Page.handleJavaScriptDialog", { accept: false });
  }
});
for (const domain of ["Page", "Runtime", "Log", "Network"]) await page(`${domain}.enable`);
if (options.cookie) {
  const [name, ...value] = options.cookie.split("=");
  await page("Network.setCookie", { name, value: value.join("="), url: base });
}

let findings = 0;
for (const path of paths) {
  for (const width of options.width) {
    said = [];
    await page("Emulation.setDeviceMetricsOverride", { width: Number(width), height: 900, deviceScaleFactor: 1, mobile: false });
    const loaded = new Promise((done) => {
      const listen = (message) => {
        if (message.method === "Page.loadEventFired") {
          listeners.delete(listen);
          done();
        }
      };
      listeners.add(listen);
    });
    await page("Page.navigate", { url: base + path });
    await loaded;
    await evaluate(axe);
    const result = await evaluate(`axe.run(document, { resultTypes: ["violations"] }).then((r) => JSON.stringify(r.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 4).map((n) => n.target.join(" ") + " :: " + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? "")) }))))`);
    const wide = await evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    const problems = [...said.map((text) => `browser: ${text}`)];
    if (wide > 0) {
      const who = await evaluate("[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.table-wrap, pre, .unseen, .skip')).slice(0, 4).map((e) => e.tagName + '.' + e.getAttribute('class')).join(' ')");
      problems.push(`wider than the window by ${wide} px: ${who}`);
    }
    for (const violation of JSON.parse(result)) problems.push(`axe ${violation.id} (${violation.impact}): ${violation.help}\n      ${violation.nodes.join("\n      ")}`);
    findings += problems.length;
    console.log(`${problems.length === 0 ? "ok  " : "FAIL"} ${path} at ${width} px`);
    for (const problem of problems) console.log(`    ${problem}`);
    if (options.shots) {
      const { data } = await page("Page.captureScreenshot", { captureBeyondViewport: true });
      const name = path.replace(/^\//, "").replace(/\.html$/, "").replace(/[^A-Za-z0-9.-]+/g, "_") || "index";
      writeFileSync(join(options.shots, `${name}.${width}.png`), Buffer.from(data, "base64"));
    }
  }
}
server?.close();
const ended = new Promise((done) => browser.on("exit", done));
browser.kill();
await ended;
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
console.log(findings === 0 ? `${paths.length} pages, nothing found` : `${findings} findings`);
process.exit(findings === 0 ? 0 : 1);

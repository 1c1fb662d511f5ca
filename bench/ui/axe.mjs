// Looks at pages in headless Chromium: axe-core's rules, messages of the Content-Security-Policy, errors of scripts, and pages that are wider
// than the window. Ends with status 1 if it finds anything, 2 if it could not look.
//
//   node axe.mjs --folder FOLDER [--shots FOLDER]              the output of `cargo run -p ostrom-node --example catalogue -- FOLDER`
//   node axe.mjs --url URL [--cookie NAME=VALUE] [--path PATH]… a running node
//
// axe-core comes from npm (package-lock.json), in a folder given as --modules (default: this folder). look.sh does all of it.
import { createServer } from "node:http";
import { readFileSync, readdirSync } from "node:fs";
import { join, normalize } from "node:path";

import { open, readAxe } from "./browser.mjs";

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
const axe = readAxe(options.modules);
const tab = await open(options.chromium);
if (options.cookie) {
  const [name, ...value] = options.cookie.split("=");
  await tab.page("Network.setCookie", { name, value: value.join("="), url: base });
}
let findings = 0;
for (const path of paths) {
  for (const width of options.width) {
    await tab.size(Number(width));
    await tab.go(base + path);
    const problems = await tab.problems(axe);
    findings += problems.length;
    console.log(`${problems.length === 0 ? "ok  " : "FAIL"} ${path} at ${width} px`);
    for (const problem of problems) console.log(`    ${problem}`);
    if (options.shots) {
      const name = path.replace(/^\//, "").replace(/\.html$/, "").replace(/[^A-Za-z0-9.-]+/g, "_") || "index";
      await tab.shot(options.shots, `${name}.${width}`);
    }
  }
}
server?.close();
await tab.close();
console.log(findings === 0 ? `${paths.length} pages, nothing found` : `${findings} findings`);
process.exit(findings === 0 ? 0 : 1);

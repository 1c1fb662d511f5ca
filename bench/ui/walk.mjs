// Walks through a node that has just begun, in headless Chromium: sets it up, makes members, reports one of each kind with hostile texts in
// every field, opens a case, says what it thinks. On every page it comes by it runs axe-core and looks for dialogs, scripts that ran, and
// reports of the Content-Security-Policy. Ends with status 1 if it finds anything, 2 if it could not look.
//
//   node walk.mjs --node "COMMAND" --bundle FILE --shots FOLDER --modules FOLDER
//
// COMMAND starts a node in a fresh folder and prints the first administrator's link:
//   cargo run -p ostrom-node --example serve -- FOLDER 127.0.0.1:0
// The bundle is what `ostrom eval pack` writes; it is uploaded, reviewed and published.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

import { open, readAxe } from "./browser.mjs";

const options = { modules: import.meta.dirname, chromium: "chromium" };
for (let at = 2; at < process.argv.length; at += 2) options[process.argv[at].replace(/^--/, "")] = process.argv[at + 1];
if (!options.node || !options.bundle) {
  console.error("give --node with a command that starts a node, and --bundle with a packed bundle");
  process.exit(2);
}
const axe = readAxe(options.modules);

// What has run scripts elsewhere. Each would leave a mark: a dialog, or window.ran.
const VECTORS = [
  `<script>window.ran=1;alert(1)</script>`,
  `"><img src=x onerror="window.ran=1;alert(1)">`,
  `'"--></style></script><svg onload=window.ran=1>`,
  `<a href="javascript:window.ran=1">x</a>`,
  `[click](javascript:window.ran=1) ![x](https://evil.example/x.png) <https://ok.example/>`,
  `[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)`,
  `<iframe srcdoc="<script>parent.ran=1</script>"></iframe>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.ran=1&gt;">`,
  `<details open ontoggle=window.ran=1><summary>x</summary></details>`,
  `<input autofocus onfocus=window.ran=1>`,
  `<base href="https://evil.example/"><form action="https://evil.example"><button>x</button></form>`,
  `<meta http-equiv="refresh" content="0;url=https://evil.example">`,
  "```\n</code></pre><script>window.ran=1</script>\n```",
  `{{7*7}} \${window.ran=1} <%= 1 %> &#x3c;script&#x3e;window.ran=1&#x3c;/script&#x3e;`,
];
const HOSTILE = VECTORS.join("\n\n");
const line = (n) => `${VECTORS[n % VECTORS.length].replace(/\n/g, " ")} n${n}`.slice(0, 280);

const [command, ...rest] = options.node.split(" ");
const node = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, OSTROM_UNLIMITED: "1" } });
const link = await new Promise((done, fail) => {
  let text = "";
  node.stdout.on("data", (data) => {
    text += data;
    const found = text.match(/(http\S+\/invite\/\S+)\s/);
    if (found) done(found[1]);
  });
  node.on("exit", () => fail(new Error("the node ended")));
});
const base = new URL(link).origin;
const tab = await open(options.chromium);
let findings = 0;
const seen = new Set();

async function look(name) {
  for (const [width, colours] of [[1280, "light"], [1280, "dark"], [380, "light"]]) {
    await tab.size(width);
    await tab.colours(colours);
    const problems = await tab.problems(axe);
    if (await tab.evaluate("window.ran === undefined ? '' : 'ran'")) problems.push("a script of a text ran");
    const stray = await tab.evaluate("[...document.querySelectorAll('script')].filter((s) => !s.src.startsWith(location.origin + '/assets/')).length + document.querySelectorAll('iframe, object, embed, base, meta[http-equiv], [onerror], [onload], [onclick], [style], img').length");
    if (stray > 0) problems.push(`${stray} elements or attributes that no page of ours has`);
    findings += problems.length;
    console.log(`${problems.length === 0 ? "ok  " : "FAIL"} ${name} (${width} px, ${colours})`);
    for (const problem of problems) console.log(`    ${problem}`);
    if (options.shots) await tab.shot(options.shots, `${name}.${width}.${colours}`);
  }
  await tab.size(1280);
  await tab.colours("light");
}
async function visit(path, name) {
  await tab.go(base + path);
  if (!seen.has(name)) {
    seen.add(name);
    await look(name);
  }
}
// Fills a form in and sends it as a person does: with the button of this text.
async function send(button, fields) {
  const wrong = await tab.evaluate(`(() => {
    const button = [...document.querySelectorAll("button")].find((b) => b.textContent.trim() === ${JSON.stringify(button)} || b.ariaLabel?.startsWith(${JSON.stringify(button)}));
    if (!button) return "no button " + ${JSON.stringify(button)};
    const form = button.form;
    for (const [name, value] of ${JSON.stringify(fields)}) {
      const found = [...form.elements].filter((e) => e.name === name && e.type !== "hidden");
      if (found.length === 0) return "no field " + name;
      const box = found.find((e) => e.value === value && (e.type === "radio" || e.type === "checkbox"));
      if (box) box.checked = true;
      else if (found[0].tagName === "SELECT" && value.startsWith("=")) {
        const option = [...found[0].options].find((o) => o.textContent.trim() === value.slice(1));
        if (!option) return "no option " + value;
        found[0].value = option.value;
      } else found[0].value = value;
    }
    return "";
  })()`);
  if (wrong) throw new Error(`${wrong} on ${await tab.evaluate("location.href")}`);
  await tab.act(`[...document.querySelectorAll("button")].find((b) => b.textContent.trim() === ${JSON.stringify(button)} || b.ariaLabel?.startsWith(${JSON.stringify(button)})).click()`);
}
// Puts a file into a form, as choosing it does.
async function attach(name, file) {
  const bytes = JSON.stringify(readFileSync(file).toString("base64"));
  await tab.evaluate(`(() => {
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(atob(${bytes}), (c) => c.charCodeAt(0))], "bundle.tar.zst"));
    document.querySelector(${JSON.stringify(`input[type=file][name=${name}]`)}).files = files.files;
  })()`);
}
const here = () => tab.evaluate("location.pathname");
const every = (skip) => tab.evaluate(`[...new Set([...document.querySelectorAll("main form.stack")[0].querySelectorAll("input[type=text], textarea")].map((e) => e.name))].filter((n) => !${JSON.stringify(skip)}.includes(n))`);

try {
  await tab.go(base + "/");
  await visit("/sign-in", "sign-in");
  await tab.go(link);
  await look("set-up");
  await send("Begin", [["organisation", "Institute " + line(0)], ["name", "Ada " + line(1)], ["email", "ada@institute.example"], ["password", "correct horse battery staple"]]);
  await visit("/", "overview-empty");
  await visit("/flaws/new", "flaw-new-without-collection");
  await visit("/collections", "collections-empty");
  await send("Add the collection", [["title", "Community " + line(2)], ["alias", "community"], ["description", HOSTILE]]);
  await look("collections");
  await visit("/members", "members-first");
  await send("Add the organisation", [["name", "Norrland " + line(3)], ["sectors", line(4).replace(/,/g, " ").slice(0, 150)]]);
  await send("Add the organisation", [["name", "Fennec " + line(10)]]);
  await send("Add the person", [["name", "Bo " + line(5)], ["organisation", "=Norrland " + line(3)], ["email", "bo@norrland.example"], ["roles", "contributor"], ["roles", "coordinator"]]);
  await send("Add the trust group", [["name", "Nordic " + line(6)], ["description", HOSTILE]]);
  await look("members");
  await send("Invite Bo", []);
  await look("invitation-shown-once");
  const invitation = await tab.evaluate("document.querySelector('.secret-value').textContent.trim()");

  const things = {};
  const kinds = [
    ["flaws", [["severity", "critical"], ["tlp", "clear"], ["trials", "120"], ["successes", "87"]]],
    ["incidents", [["happened", "death"], ["possible", "health"], ["serious", "health"], ["society", "none"], ["subject", "high-risk"], ["subject", "systemic-risk"], ["tlp", "green"], ["aware", "2026-11-20T10:00"], ["occurred", "2026-11-19T10:00"]]],
    ["techniques", [["tlp", "clear"]]],
    ["mitigations", [["tlp", "amber"]]],
    ["lessons", [["tlp", "green"]]],
    ["advisories", [["tlp", "amber"]]],
  ];
  for (const [kind, fields] of kinds) {
    await visit(`/${kind}/new`, `${kind}-new`);
    await send("Check who can read it", []);
    if (kind === "flaws" || kind === "incidents") await look(`${kind}-new-errors`);
    const names = await every(["mitigates", "about", "references", "embargo", "transfer"]);
    const hostile = names.map((name, n) => [name, name === "description" || name === "reproduce" ? HOSTILE : line(n)]);
    const about = kind === "lessons" || kind === "advisories" ? [["about", things.flaws]] : kind === "mitigations" ? [["mitigates", things.flaws]] : [];
    const references = kind === "flaws" ? [["references", "https://example.org/?a=%22&b=1#'x'"], ["transfer", `${line(3).replace(/[:\n]/g, " ").slice(0, 200)}: 31 of 120`]] : [];
    if (kind === "flaws") {
      await send("Check who can read it", [...hostile, ...fields, ["references", "javascript:alert(1)"], ["transfer", HOSTILE.slice(0, 500)]]);
      await look("flaws-new-refused");
    }
    await send("Check who can read it", [...hostile, ...fields, ...about, ...references]);
    await look(`${kind}-review`);
    await send("Save, and let them read it", []);
    things[kind] = await here();
    await look(kind.slice(0, -1));
  }
  await tab.go(base + things.incidents);
  await tab.act(`document.querySelector("#duties tbody a").click()`);
  await look("incident-duty");
  await send("We have sent this report", []);
  await tab.go(base + things.flaws);
  await send("Say it", [["say", "strongly-agree"], ["note", HOSTILE.slice(0, 3000)]]);
  await look("flaw-with-opinion");
  for (const page of ["access", "export", "edit"]) await visit(`${things.flaws}/${page}`, `flaw-${page}`);
  for (const [path, name] of [["/", "overview"], ["/flaws", "flaws"], ["/incidents", "incidents"], ["/lessons", "lessons"], ["/evaluations", "evaluations-empty"], ["/search?q=window", "search"], [`/search?q=${encodeURIComponent(VECTORS[1])}&since=${encodeURIComponent(VECTORS[0])}`, "search-hostile"]]) await visit(path, name);
  await visit("/evaluations/new", "bundle-new");
  await attach("bundle", options.bundle);
  await send("Verify it, and check who can read it", [["tlp", "clear"]]);
  await look("bundle-review");
  await send("Publish, and let them read it", []);
  await look("evaluation");
  await visit("/evaluations", "evaluations");
  await visit(`/views/new?of=${encodeURIComponent("/search?q=window")}`, "view-new");
  await send("Save the view", [["name", line(7).slice(0, 90)]]);
  await look("views");
  await send("Make a feed address", []);
  await look("feed-address-shown-once");
  await visit("/sign-in?again=1&next=/account", "sign-in-again");
  await visit("/cases", "cases-empty");
  await visit("/cases/new", "case-new");
  await send("Open the case", [["title", ""]]);
  await look("case-new-errors");
  await send("Open the case", [["title", "Case " + line(8)], ["report", HOSTILE], ["reporter", "=Fennec " + line(10)]]);
  await look("case-opened");
  const opened = await here();
  await send("Record the triage", [["severity", "high"], ["note", HOSTILE.slice(0, 3000)]]);
  await send("Make them a party", [["party", "=Norrland " + line(3)], ["role", "vendor"]]);
  await send("Record that they were notified", []);
  await send("Send", [["text", HOSTILE]]);
  await look("case");
  await visit(`${opened}/publish`, "case-publish");
  await visit(`${opened}/withdraw`, "case-withdraw");
  await visit("/cases", "cases");
  await visit("/account", "account");
  await send("Make a token", [["name", "T " + line(9).slice(0, 80)]]);
  await look("token-shown-once");
  await visit("/peers", "peers");
  await visit("/settings", "settings");
  await visit("/audit", "audit");
  await visit(`${things.incidents}/export`, "incident-export");
  await visit("/flaws/vulnerability--00000000-0000-4000-8000-000000000000", "not-found");
  await tab.go(base + "/");
  await send("Dark", []);
  await send("Sign out", []);
  await look("overview-signed-out");
  await tab.go(invitation);
  await look("invitation");
  await send("Sign in", [["password", "correct horse battery staple"]]);
  await look("overview-of-vendor");
  await tab.go(base + opened);
  await look("case-of-vendor");
  await send("We have received and understood it", []);
  await look("case-of-vendor-acknowledged");
} catch (error) {
  findings += 1;
  console.log(`FAIL ${error.stack}`);
  if (options.shots) await tab.shot(options.shots, "failed");
}
await tab.close();
node.kill();
console.log(findings === 0 ? "nothing found" : `${findings} findings`);
process.exit(findings === 0 ? 0 : 1);

// Opens pages in Chromium and prints the mistakes that it finds: node pages.mjs PAGE...
// With SCREENSHOTS=FOLDER, it also saves a screenshot of each page at three widths, dark and light.
import { createRequire } from "node:module";
import { readFileSync, mkdtempSync, rmSync, mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { tmpdir } from "node:os";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = [390, 800, 1400];
// The text area of A4 in landscape format, with margins of 12 millimetres, is 273 millimetres (1032 pixels) wide.
const PAPER = 1032;
const FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const wrong = [];
let current = "";
const check = (holds, what) => { if (!holds) wrong.push(`${current}: ${what}`); };
const screenshots = process.env.SCREENSHOTS;
if (screenshots) mkdirSync(screenshots, { recursive: true });

const profile = mkdtempSync(join(tmpdir(), "stickler-chromium-"));
// A page must not load anything. Any request is a mistake, and offline mode keeps it on this machine.
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, chromiumSandbox: false, args: FLAGS, offline: true,
});
try {
  for (const file of process.argv.slice(2)) await test(pathToFileURL(resolve(file)).href, basename(file, ".html"));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
for (const line of wrong) console.error(line);
if (wrong.length) process.exit(1);
console.log(`${process.argv.length - 2} pages: nothing wrong`);

async function test(url, name) {
  current = name;
  const page = await context.newPage();
  page.on("console", message => wrong.push(`${current}: on the console: ${message.text()}`));
  page.on("pageerror", error => wrong.push(`${current}: ${error}`));
  page.on("request", request => check(request.url().startsWith(url), `asks for ${request.url()}`));
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const width of WIDTHS) {
      current = `${name}, ${scheme}, ${width}`;
      await page.setViewportSize({ width, height: 900 });
      await page.goto(url);
      await layout(page, width);
      if (screenshots) await pictures(page, `${name}-${width}-${scheme}`);
    }
    current = `${name}, ${scheme}`;
    await accessibility(page);
  }
  current = name;
  await page.goto(url);
  await structure(page);
  await links(page, url);
  await filters(page, url);
  await keyboard(page, url);
  await print(page, url);
  await page.close();
  await withoutScript(url);
}

async function pictures(page, name) {
  await page.screenshot({ path: join(screenshots, `${name}.png`) });
  const detail = page.locator("details.e").first();
  if (await detail.count() === 0) return;
  await detail.evaluate(it => { it.open = true; it.scrollIntoView(); });
  await page.screenshot({ path: join(screenshots, `${name}-evidence.png`) });
  await page.locator("#overview").evaluate(it => it.scrollIntoView());
  await page.screenshot({ path: join(screenshots, `${name}-table.png`) });
  await page.locator("details.b").first().evaluate(it => { it.open = true; it.scrollIntoView(); });
  await page.screenshot({ path: join(screenshots, `${name}-balancers.png`) });
}

// Checks that nothing is wider than the window, except content that scrolls in a box of its own.
async function layout(page, width) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check(wide <= width, `the page is ${wide} pixels wide`);
  await page.evaluate(() => { for (const it of document.querySelectorAll("details")) it.open = true; });
  const opened = await page.evaluate(() => document.documentElement.scrollWidth);
  check(opened <= width, `with everything open, the page is ${opened} pixels wide`);
  const sticks = await page.evaluate(() => {
    const box = document.querySelector("#table"), head = box.querySelector("tbody th");
    const before = head.getBoundingClientRect().left;
    box.scrollLeft = 10_000;
    return Math.abs(head.getBoundingClientRect().left - before) < 2;
  });
  check(sticks, "the first column does not stay where it is");
  await page.evaluate(() => { for (const it of document.querySelectorAll("details")) it.open = false; document.querySelector("#table").scrollLeft = 0; });
}

async function accessibility(page) {
  await page.evaluate(() => { for (const it of document.querySelectorAll("details.b, details.e")) it.open = it.matches(":nth-of-type(-n+3)"); });
  // The page's policy would block axe as a script of the page, so it is evaluated directly.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, help, nodes } of violations) {
    if (impact === "serious" || impact === "critical") wrong.push(`${current}: axe: ${id} (${impact}): ${help}: ${nodes.length} of them, as ${nodes[0].html.slice(0, 200)}`);
  }
}

async function structure(page) {
  const seen = await page.evaluate(() => {
    const count = selector => document.querySelectorAll(selector).length;
    const ids = [...document.querySelectorAll("[id]")].map(it => it.id);
    return {
      landmarks: [count("header"), count("main"), count("footer"), count("nav[aria-label]")].join(),
      h1: count("h1"), caption: count("table > caption"), unscoped: count("th:not([scope])"),
      styled: count("[style]"), handlers: count("[onclick], a[href^='javascript:']"), twice: ids.length - new Set(ids).size,
      policy: document.querySelector("meta[http-equiv='Content-Security-Policy']")?.content ?? "",
      live: count("output[aria-live]"), language: document.documentElement.lang,
      blind: [...document.querySelectorAll("#table td.v, #table td.s")].filter(it => it.textContent.trim() === "" || !it.querySelector("a")).length,
    };
  });
  check(seen.landmarks === "1,1,1,1", `landmarks: ${seen.landmarks}`);
  check(seen.h1 === 1 && seen.caption === 1 && seen.unscoped === 0, `headings of page and table: ${JSON.stringify(seen)}`);
  check(seen.styled === 0 && seen.handlers === 0 && seen.twice === 0, `styles, handlers or ids: ${JSON.stringify(seen)}`);
  check(seen.policy.startsWith("default-src 'none'") && !seen.policy.includes("unsafe"), `policy: ${seen.policy}`);
  check(seen.live === 1 && seen.language === "en", "no live region, or no language");
  check(seen.blind === 0, `${seen.blind} cells are marked, and have no words or no link to their evidence`);
}

async function links(page, url) {
  const dangling = await page.evaluate(() => [...document.querySelectorAll("a[href^='#']")].filter(it => !document.getElementById(it.hash.slice(1))).map(it => it.hash));
  check(dangling.length === 0, `links to nothing: ${dangling.slice(0, 5)}`);
  const cell = page.locator("#table td.v a").last();
  if (await cell.count() === 0) return;
  await page.goto(url);
  const [hash, row] = await cell.evaluate(it => [it.hash, it.closest("tr").querySelector("th a").textContent]);
  await cell.click();
  const shown = await page.locator(hash).evaluate(it => ({ open: it.open, top: it.getBoundingClientRect().top, code: it.querySelector("code.run").textContent }));
  check(shown.open && shown.top >= 0 && shown.top < 900, `a cell's evidence is not shown: ${JSON.stringify(shown)}`);
  check(shown.code.includes(`--balancer ${row} `), `the command is not that of ${row}: ${shown.code}`);
}

async function filters(page, url) {
  await page.goto(url);
  const form = page.locator("#filters");
  check(await form.isVisible(), "there are no filters");
  const visible = selector => page.locator(`${selector}:not([hidden])`).count();
  const output = () => page.locator("#filters output").textContent();
  const [rows, examples] = [await visible("#table tbody tr"), await visible("details.e")];
  check((await output()).includes(`${rows} of ${rows} balancer`), `counted: ${await output()}`);
  const reset = async () => {
    await form.getByRole("button").click();
    // The page filters again after the form has been reset.
    const whole = ([rows, examples]) => document.querySelectorAll("#table tbody tr:not([hidden])").length === rows
      && document.querySelectorAll("details.e:not([hidden])").length === examples;
    const shown = await page.waitForFunction(whole, [rows, examples], { timeout: 5000 }).then(() => true, () => false);
    check(shown, "after `Show all`, rows or examples are missing");
  };

  await form.locator("[name=search]").fill("surely nothing has these words");
  check(await visible("#table tbody tr") === 0 && await visible("details.e") === 0, "a search for nothing finds something");
  check((await output()).includes(`0 of ${rows} balancer`), `counted: ${await output()}`);
  await reset();
  const first = await page.locator("#table tbody th a").first().textContent();
  await form.locator("[name=search]").fill(first.toUpperCase());
  check(await visible("#table tbody tr") >= 1 && await visible("#table tbody tr") <= rows, `a search for ${first} does not find it`);
  await reset();
  await form.locator("[name=balancer]").selectOption({ label: first });
  check(await visible("#table tbody tr") === 1, "one balancer is more than one row");
  const others = await page.evaluate(() => [...document.querySelectorAll("details.e:not([hidden])")].filter(it => !it.dataset.b.split(" ").includes("0")).length);
  check(others === 0, "one balancer has examples of others");
  await reset();
  const requirement = await page.locator("#table th[data-r]").first().getAttribute("data-r");
  await form.locator("[name=requirement]").selectOption(requirement);
  check(await visible("#table th[data-r]") === 1, "one requirement is more than one column");
  const odd = await page.evaluate(() => new Set([...document.querySelectorAll("#table tbody tr:not([hidden])")].map(row => row.querySelectorAll("td:not([hidden])").length)).size);
  check(odd === 1, "rows have different numbers of cells");
  check(await visible("section.r") === 1, "one requirement has more than one section");
  await reset();
  for (const verdict of await form.locator("[name=verdict] option").evaluateAll(all => all.map(it => it.value).filter(Boolean))) {
    await form.locator("[name=verdict]").selectOption(verdict);
    const without = await page.evaluate(it => [...document.querySelectorAll("#table tbody tr:not([hidden])")].filter(row => !row.querySelector(`td.${it}`)).length, verdict);
    check(without === 0, `rows without the verdict ${verdict} are shown`);
  }
  await reset();
  // A link to a filtered element shows the element nevertheless.
  await form.locator("[name=search]").fill("surely nothing has these words");
  await page.evaluate(() => { location.hash = "#b0"; });
  await page.waitForFunction(() => document.getElementById("b0").open && !document.getElementById("b0").hidden);
}

async function keyboard(page, url) {
  await page.goto(url);
  const focus = () => page.evaluate(() => {
    const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();
    return { what: it.tagName + (it.id && "#" + it.id), href: it.getAttribute("href"), visible: box.width > 0 && box.height > 0 && box.bottom > 0, outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 };
  });
  await page.keyboard.press("Tab");
  const skip = await focus();
  check(skip.href === "#main" && skip.visible && skip.outline, `the first stop is no link to the content: ${JSON.stringify(skip)}`);
  const stops = [];
  for (let n = 0; n < 40; n++) {
    await page.keyboard.press("Tab");
    const at = await focus();
    check(at.visible && at.outline, `the focus is not to be seen: ${JSON.stringify(at)}`);
    stops.push(at.what);
  }
  for (const wanted of ["INPUT", "SELECT", "BUTTON", "DIV#table"]) check(stops.some(it => it.startsWith(wanted)), `the keyboard does not reach ${wanted}: ${stops}`);
  const summary = page.locator("details.b > summary").first();
  await summary.focus();
  const before = await summary.evaluate(it => it.parentElement.open);
  await page.keyboard.press("Enter");
  check(await summary.evaluate(it => it.parentElement.open) !== before, "Enter does not open a balancer");
}

async function print(page, url) {
  await page.setViewportSize({ width: PAPER, height: 700 });
  await page.goto(url);
  await page.emulateMedia({ media: "print" });
  const seen = await page.evaluate(() => {
    const shown = it => it.getClientRects().length > 0 && it.getBoundingClientRect().height > 0;
    return {
      controls: [...document.querySelectorAll("input, select, button, nav")].filter(shown).length,
      closed: [...document.querySelectorAll("details > div")].filter(it => !shown(it)).length,
      ground: getComputedStyle(document.body).backgroundColor, wide: document.documentElement.scrollWidth,
    };
  });
  check(seen.controls === 0, `${seen.controls} controls are printed`);
  check(seen.closed === 0, `${seen.closed} details are printed closed`);
  check(seen.wide <= PAPER, `what is printed is ${seen.wide} pixels wide`);
  check(seen.ground === "rgb(255, 255, 255)", `printed on ${seen.ground}`);
  const pdf = await page.pdf({ preferCSSPageSize: true });
  check(pdf.length > 10_000, "nothing is printed");
  await page.emulateMedia({ media: "screen" });
}

async function withoutScript(url) {
  const browser = context.browser() ?? await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", chromiumSandbox: false, args: FLAGS });
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const page = await plain.newPage();
  await page.goto(url);
  check(!await page.locator("#filters").isVisible(), "without script, there are filters that do nothing");
  check(await page.locator("#table").isVisible() && await page.locator("#evidence").isVisible(), "without script, something is missing");
  await plain.close();
  if (!context.browser()) await browser.close();
}

// The book in a real browser. `ci/browser` runs it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const { chromium } = await import(pathToFileURL(process.env.PLAYWRIGHT).href);
const book = resolve(process.argv[2]);
const url = page => pathToFileURL(`${book}/${page}`).href;
const source = page => readFileSync(`${book}/${page}`, "utf8");
// The first page is there twice, and print.html holds all of them.
const pages = readdirSync(book).filter(name => name.endsWith(".html") && !["404.html", "index.html", "print.html", "toc.html"].includes(name));
const withBoxes = pages.filter(page => source(page).includes("data-key="));
const withStories = pages.filter(page => source(page).includes("heap-figure story"));
const withPlaygrounds = pages.filter(page => source(page).includes("play-here"));

const PLAYGROUND = "playground.html";
// What the same code shows on this machine: a story a line.
const stories = process.env.STORIES;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });

/** Runs `work` on a fresh page, in a browser that remembers nothing yet. */
async function inPage(name, work, options = {}) {
    const context = await browser.newContext({ viewport: { width: options.width ?? 1280, height: 900 }, javaScriptEnabled: options.script ?? true });
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", error => errors.push(error.message));
    if (options.theme) await page.addInitScript(theme => localStorage.setItem("mdbook-theme", theme), options.theme);
    if (options.forgetful) {
        await page.addInitScript(() => Object.defineProperty(window, "localStorage", { get() { throw new Error("refused"); } }));
    }
    await page.goto(url(name) + (options.hash ?? ""));
    // The playground starts a program first.
    if (options.script !== false && name === PLAYGROUND) await page.locator("#heap-playground .play").waitFor();
    try {
        await work(page);
    } catch (error) {
        error.message = `${name}: ${error.message}`;
        throw error;
    }
    if (!options.forgetful) assert.deepEqual(errors, [], `${name}: errors in scripts`);
    await context.close();
}

/** What the playground shows: its text, its switches, the step, the picture and its description. */
async function shown(page) {
    return page.evaluate(() => ({
        text: document.querySelector("[name=story]").value,
        heap: document.querySelector("[name=heap]").value,
        fit: document.querySelector("[name=fit]:enabled")?.value,
        splitting: document.querySelector("[name=split]").checked,
        joining: document.querySelector("[name=join]").checked,
        count: document.querySelector(".play .count").textContent,
        svg: document.querySelector(".play .heap-scroll").innerHTML,
        words: document.querySelector(".play .words").textContent,
        returns: [...document.querySelectorAll(".calls li")].map(call => call.textContent),
        mistake: document.querySelector("#heap-playground .mistake").textContent,
    }));
}

/** Types a story in place of the one that is there. */
async function type(page, story) {
    const text = page.locator("[name=story]");
    await text.fill("");
    await text.pressSequentially(story);
    // It is played as soon as nobody types.
    await page.waitForTimeout(400);
}

/** In a page: how many pairs of colours its words have, and those that are too much alike. */
function measureContrast() {
    document.querySelectorAll(".content details").forEach(details => { details.hidden = false; details.open = true; });
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    // Any colour of CSS, as red, green, blue and opacity.
    const parsed = new Map();
    function rgb(colour) {
        if (!parsed.has(colour)) {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
            parsed.set(colour, [r, g, b, a / 255]);
        }
        return parsed.get(colour);
    }
    const over = (top, under) => [...[0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])), 1];
    const light = colour => {
        const [r, g, b] = colour.slice(0, 3).map(part => part / 255).map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    const style = element => getComputedStyle(element);
    function background(element) {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(rgb(style(at).backgroundColor));
        return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255, 1]);
    }
    const pairs = new Map();
    function look(words, colour, under, large, what) {
        const found = ratio(over(rgb(colour), under), under);
        pairs.set(`${colour} on ${under}`, found < (large ? 3 : 4.5) ? `${what} "${words.slice(0, 30)}": ${found.toFixed(2)}` : null);
    }
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const words = walker.currentNode.data.trim();
        const element = walker.currentNode.parentElement;
        if (!words || element.closest("svg") || !element.checkVisibility()) continue;
        const size = parseFloat(style(element).fontSize);
        look(words, style(element).color, background(element), size >= 24 || size >= 18.66 && style(element).fontWeight >= 700, element.tagName);
    }
    // A word in a picture lies on the last box drawn before it that holds its middle.
    for (const svg of document.querySelectorAll("svg.heap")) {
        const boxes = [];
        for (const part of svg.querySelectorAll("rect, text")) {
            const place = part.getBBox();
            if (part.tagName === "rect") {
                if (style(part).fill !== "none") boxes.push({ place, fill: style(part).fill });
                continue;
            }
            const [x, y] = [place.x + place.width / 2, place.y + place.height / 2];
            const holds = ({ place }) => x >= place.x && x <= place.x + place.width && y >= place.y && y <= place.y + place.height;
            const box = boxes.findLast(holds);
            const under = box ? over(rgb(box.fill), background(svg)) : background(svg);
            look(part.textContent, style(part).fill, under, false, "in a picture");
        }
    }
    return { pairs: pairs.size, low: [...pairs.values()].filter(Boolean) };
}

/** Answers a box with the keyboard alone. */
async function say(box, answer) {
    if (await box.getAttribute("data-kind") === "number") {
        await box.locator("input[type=text]").fill("");
        await box.locator("input[type=text]").pressSequentially(answer);
        await box.locator("input[type=text]").press("Enter");
    } else {
        const choice = box.locator(`input[type=radio][value="${answer}"]`);
        await choice.focus();
        await choice.press("Space");
        await choice.press("Enter");
    }
}

/** Runs `work` with the address of a `cargo book` that has reports of its own, in the folder that it gets too. */
async function withServer(work) {
    const target = mkdtempSync(join(tmpdir(), "book-"));
    const program = join(target, "debug", "book-tools");
    mkdirSync(join(target, "debug"));
    mkdirSync(join(target, "lab-reports"));
    writeFileSync(join(target, "CACHEDIR.TAG"), "");
    copyFileSync(process.env.BOOK_TOOLS, program);
    const server = spawn(program, { stdio: ["ignore", "pipe", "inherit"] });
    try {
        let address = null;
        for await (const line of createInterface({ input: server.stdout })) {
            address = line.match(/http:\S+/)?.[0];
            if (address) break;
        }
        assert.ok(address, "cargo book says where it is");
        await work(address, join(target, "lab-reports"));
    } finally {
        server.kill();
        rmSync(target, { recursive: true });
    }
}

/** What a server says to somebody who calls it by the name `host`. */
function asked(address, path, host) {
    return new Promise((resolve, reject) => {
        request(new URL(path, address), { headers: { host } }, response => {
            let text = "";
            response.on("data", part => text += part).on("end", () => resolve({ status: response.statusCode, text }));
        }).on("error", reject).end();
    });
}

const tests = {
    async "every Predict box refuses what is wrong, with its reason, and shows the answer once it is right"() {
        let answered = 0;
        for (const name of withBoxes) {
            await inPage(name, async page => {
                for (const box of await page.locator(".predict[data-key]").all()) {
                    const key = await box.getAttribute("data-key");
                    const answer = await box.getAttribute("data-answer");
                    const folded = box.locator("details.answer");
                    const result = box.locator("[role=status]");
                    assert.equal(await folded.isVisible(), false, `${key}: the answer is hidden at first`);
                    for (const slip of await box.locator(".slips > li").all()) {
                        const said = await slip.getAttribute("data-said");
                        await say(box, said);
                        const reason = (await slip.locator("p").evaluate(p => p.lastChild.textContent)).trim();
                        const shown = await result.textContent();
                        assert.ok(shown.startsWith(`✗ ${said} isn't it`) && shown.includes(reason), `${key}: ${said} has its reason: ${shown}`);
                        assert.equal(await folded.isVisible(), false, `${key}: a wrong answer shows nothing`);
                    }
                    await say(box, answer);
                    assert.equal(await result.textContent(), `✓ Right: ${answer}.`, key);
                    assert.ok(await folded.locator("summary + *").isVisible(), `${key}: a right answer opens the box`);
                    answered += 1;
                }
                await page.reload();
                for (const box of await page.locator(".predict[data-key]").all()) {
                    assert.match(await box.locator("[role=status]").textContent(), /^✓ Right/, "it is remembered");
                    assert.ok(await box.locator("details.answer").isVisible(), "and the answer stays open");
                    await box.getByRole("button", { name: "Forget my answer" }).press("Enter");
                    assert.equal(await box.locator("details.answer").isVisible(), false, "until it is forgotten");
                }
                assert.equal(page.url(), url(name), "no key has turned the page");
            });
        }
        return `${answered} boxes on ${withBoxes.length} pages`;
    },

    async "a number that nobody thought of is too large or too small, and no number is told so"() {
        await inPage("pools.html", async page => {
            const box = page.locator(".predict[data-kind=number]").first();
            const result = box.locator("[role=status]");
            const answer = Number(await box.getAttribute("data-answer"));
            await say(box, `${answer * 1000 + 7}`);
            assert.match(await result.textContent(), /The answer is smaller/);
            await say(box, "-7");
            assert.match(await result.textContent(), /The answer is larger/);
            await say(box, "a lot");
            assert.match(await result.textContent(), /Write a whole number/);
            await say(box, `0x${answer.toString(16)}`);
            assert.match(await result.textContent(), /^✓ Right/);
        });
    },

    async "an answer can be looked up, and the arrow keys in a field don't turn the page"() {
        await inPage("pools.html", async page => {
            const box = page.locator(".predict[data-kind=number]").first();
            await box.locator("input[type=text]").fill("12");
            for (const key of ["ArrowLeft", "ArrowRight", "s", "?"]) await box.locator("input[type=text]").press(key);
            assert.equal(page.url(), url("pools.html"));
            await box.getByRole("button", { name: "Show the answer" }).press("Enter");
            assert.ok(await box.locator("details.answer").isVisible());
            assert.match(await box.locator("[role=status]").textContent(), /^The answer is/);
        });
    },

    async "a browser that remembers nothing answers all the same"() {
        await inPage("pools.html", async page => {
            const box = page.locator(".predict[data-kind=number]").first();
            await say(box, await box.getAttribute("data-answer"));
            assert.match(await box.locator("[role=status]").textContent(), /^✓ Right/);
        }, { forgetful: true });
    },

    async "every story is told with arrow keys, buttons and slider, one step at a time"() {
        let told = 0;
        for (const name of withStories) {
            await inPage(name, async page => {
                for (const story of await page.locator(".story").all()) {
                    const steps = await story.locator(".steps > li").all();
                    const shown = async () => {
                        const visible = await Promise.all(steps.map(step => step.isVisible()));
                        assert.equal(visible.filter(Boolean).length, 1, "one step is shown");
                        return visible.indexOf(true);
                    };
                    const slider = story.getByRole("slider");
                    assert.equal(await shown(), 0);
                    await slider.focus();
                    for (let step = 1; step < steps.length; step += 1) {
                        await page.keyboard.press("ArrowRight");
                        assert.equal(await shown(), step);
                        assert.ok((await slider.getAttribute("aria-valuetext")).startsWith(`Step ${step + 1} of ${steps.length}: `));
                    }
                    await page.keyboard.press("ArrowRight");
                    assert.equal(await shown(), steps.length - 1, "the last step stays");
                    await page.keyboard.press("ArrowLeft");
                    assert.equal(await shown(), steps.length - 2);
                    await page.keyboard.press("Home");
                    assert.equal(await shown(), 0);
                    await story.getByRole("button", { name: "Step forth" }).click();
                    assert.equal(await shown(), 1);
                    await page.keyboard.press("ArrowRight");
                    await story.getByRole("button", { name: "Step back" }).press("Enter");
                    assert.equal(await shown(), 1);
                    await slider.fill(`${steps.length}`);
                    assert.equal(await shown(), steps.length - 1);
                    for (const picture of await story.locator("svg").all()) {
                        assert.ok((await picture.getAttribute("aria-label"))?.length > 20, "each picture has a description");
                    }
                    const frames = await story.locator("svg").evaluateAll(all => all.map(svg => svg.querySelectorAll(".changed").length));
                    assert.ok(frames.some(count => count > 0), "what changed is marked");
                    told += 1;
                }
                assert.equal(page.url(), url(name), "no key has turned the page");
            });
        }
        return `${told} stories on ${withStories.length} pages`;
    },

    async "without JavaScript and in print, answers are folded or open, and all steps are there"() {
        for (const name of new Set([...withBoxes, ...withStories])) {
            const all = async (page, selector, visible) => {
                for (const found of await page.locator(selector).all()) assert.equal(await found.isVisible(), visible, `${selector}`);
            };
            await inPage(name, async page => {
                await all(page, ".predict[data-key] details.answer > summary", true);
                await all(page, ".story .steps > li", true);
                assert.equal(await page.locator(".predict .ask, .story .controls").count(), 0);
            }, { script: false });
            await inPage(name, async page => {
                await page.emulateMedia({ media: "print" });
                await all(page, ".predict[data-key] details.answer > summary + p", true);
                await all(page, ".predict[data-key] .slips > li", true);
                await all(page, ".story .steps > li", true);
                await all(page, ".predict .ask", false);
                await all(page, ".story .controls", false);
                const cut = await page.locator(".heap-scroll").evaluateAll(all => all.filter(box => box.scrollWidth > box.clientWidth).length);
                assert.equal(cut, 0, "pictures that paper would cut off");
            });
        }
    },

    async "a story is typed, played and told step by step, and any two steps are compared"() {
        await inPage(PLAYGROUND, async page => {
            await page.selectOption("[name=heap]", "page");
            await page.selectOption("[name=fit]", "first");
            await type(page, "a = malloc(100)\nb = malloc(50); z = malloc(1)\nfree(a)\nfree(b)\nc = malloc(40)");
            let now = await shown(page);
            assert.deepEqual(now.returns, ["a = malloc(100) → +0x0010", "b = malloc(50) → +0x0080", "z = malloc(1) → +0x00c0", "free(a)", "free(b)", "c = malloc(40) → +0x0080"]);
            assert.equal(now.count, "Step 7 of 7", "what has just been typed is shown");
            const slider = page.locator(".play").getByRole("slider");
            const label = async () => page.locator(".play svg.heap").getAttribute("aria-label");
            await slider.focus();
            await page.keyboard.press("ArrowLeft");
            assert.match(await label(), /The free list leads to \+0x0070, \+0x0000\.$/, "the last one freed is the first one in the list");
            await page.keyboard.press("Home");
            assert.equal((await shown(page)).count, "Step 1 of 7");
            await page.getByRole("button", { name: "Step forth" }).click();
            assert.match(await page.locator(".play .said").textContent(), /^a = malloc\(100\) returns \+0x0010\./);
            await page.locator(".calls li").nth(3).getByRole("button").click();
            assert.equal((await shown(page)).count, "Step 5 of 7", "a call leads to its step");
            // Two lines lead from the list's entries to their chunks.
            await slider.fill("6");
            assert.equal(await page.locator(".play svg .tie").count(), 2);
            const marked = () => page.locator(".play svg .changed").count();
            assert.equal(await marked(), 3, "what the step before has changed");
            await page.selectOption("[name=since]", "5");
            assert.equal(await marked(), 0, "nothing has changed since the step itself");
            await page.selectOption("[name=since]", "0");
            assert.equal(await marked(), 4, "everything has changed since the beginning");
            // The switches play the story anew.
            await page.selectOption("[name=since]", "before");
            await page.locator("[name=join]").check();
            await slider.fill("7");
            assert.match(await label(), /The free list leads to |c in use, 176 bytes/);
            assert.match(await page.locator(".whose").textContent(), /joins, but it never splits/);
            await page.selectOption("[name=heap]", "system");
            assert.ok(await page.locator("[name=join]").isDisabled());
            assert.match((await shown(page)).returns[0], /\+0x0010/);
            assert.equal(page.url(), url(PLAYGROUND), "no key has turned the page");
        });
    },

    async "what can't be played is one sentence with its line, and what comes before it is played"() {
        await inPage(PLAYGROUND, async page => {
            for (const [story, says, played] of [
                ["a = malloc(40)\nfre(a)", /^Line 2: The playground doesn't know the call fre\(a\)\./, 1],
                ["a = malloc(40)\nfree(a)\nfree(a)", /^Line 3: a is freed already, in line 2\./, 2],
                ["a = malloc(many)", /^Line 1: many is no number of bytes/, 0],
                ["<b>x</b>", /^Line 1: .*<b>x<\/b>/, 0],
                ["a = malloc(40)", /^$/, 1],
            ]) {
                await type(page, story);
                const { mistake, returns } = await shown(page);
                assert.match(mistake, says);
                assert.equal(returns.length, played, story);
            }
        });
    },

    async "the playground's words are reached by keyboard, and each is decoded"() {
        await inPage(PLAYGROUND, async page => {
            await type(page, "a = malloc(24)\nb = malloc(24)\nfree(a)");
            await page.locator(".cell[tabindex='0']").focus();
            const decoded = () => page.locator(".play .decoded").textContent();
            await page.keyboard.press("ArrowRight");
            assert.equal(await decoded(), `+0x0008: 0000000000000021: size | flags: size 0x20, P = 1 "the chunk before is in use".`);
            await page.keyboard.press("ArrowDown");
            assert.equal(await decoded(), "+0x0018: 0000000000000000: bk → head. It has changed.");
            assert.equal(await page.locator(".play svg .chunk.lit").count(), 2, "the chunk lights up in the heap and in the list");
            assert.equal((await shown(page)).count, "Step 4 of 4", "the story stays where it is");
            await page.locator("[name=story]").focus();
            for (const key of ["ArrowLeft", "ArrowRight", "s", "?", "Home"]) await page.keyboard.press(key);
            assert.equal(page.url(), url(PLAYGROUND), "no key has turned the page");
        });
    },

    async "below a section, a playground is loaded when it is unfolded, and plays its story to the end"() {
        let played = 0;
        for (const name of withPlaygrounds) {
            for (const width of [1280, 400]) {
                await inPage(name, async page => {
                    assert.equal(await page.evaluate(() => window.heaplabPlayground), undefined, "nothing is loaded before");
                    for (const place of await page.locator(".play-here").all()) {
                        const story = (await place.locator("pre").first().textContent()).trim();
                        await place.locator("summary").press("Enter");
                        await place.locator(".play").waitFor();
                        assert.equal(await place.locator("[name=story]").inputValue(), story);
                        assert.equal(await place.locator(".mistake").textContent(), "", story);
                        assert.equal(await place.locator(".calls li").count(), story.split("\n").length, story);
                        assert.equal(await place.locator("[name=example]").isVisible(), false, "it has a story of its own");
                        const over = await place.evaluate(place => [place, ...place.querySelectorAll(".play-form, .play, .controls, .said")]
                            .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.className));
                        assert.deepEqual(over, [], `${width} px: ${story}`);
                        played += 1;
                    }
                }, { width });
            }
        }
        return `${played / 2} stories on ${withPlaygrounds.length} pages`;
    },

    async "two playgrounds on a page don't meddle with each other, and each leads to the playground's page"() {
        await inPage("free-lists.html", async page => {
            const [one, two] = await page.locator(".play-here").all();
            for (const place of [one, two]) {
                await place.locator("summary").press("Enter");
                await place.locator(".play").waitFor();
            }
            const step = place => place.locator(".count").textContent();
            const label = place => place.locator(".play svg.heap").getAttribute("aria-label");
            const before = [await step(two), await label(two)];
            await one.getByRole("slider").press("Home");
            await one.locator("[name=story]").fill("a = malloc(40); b = malloc(24); free(a)");
            await page.waitForTimeout(400);
            assert.equal(await step(one), "Step 4 of 4");
            assert.deepEqual([await step(two), await label(two)], before);
            await two.getByRole("slider").press("ArrowLeft");
            assert.notEqual(await step(two), before[0]);
            await two.locator("[name=fit]").selectOption("worst");
            assert.match(await two.locator(".calls").textContent(), /f = malloc\(150\) → NULL/, "worst fit has spent the large chunk");
            await one.locator(".cell").first().hover();
            assert.ok(await one.locator(".lit").count() > 0);
            assert.equal(await two.locator(".lit").count(), 0, "a chunk lights up in its own heap alone");
            await one.getByRole("button", { name: "Copy a link to this story" }).click();
            const link = await one.getByRole("textbox", { name: "The link" }).inputValue();
            assert.equal(link, `${url(PLAYGROUND)}#heap=page&fit=first&story=a=malloc(40);b=malloc(24);free(a)`);
            assert.equal(page.url(), url("free-lists.html"), "the page stays where it is");
            await one.getByRole("link", { name: "Open it on the playground's own page" }).click();
            await page.locator("#heap-playground .play").waitFor();
            assert.deepEqual((await shown(page)).returns, ["a = malloc(40) → +0x0010", "b = malloc(24) → +0x0040", "free(a)"]);
        });
    },

    async "the cache fills and spills as in the story on its page, and its words are decoded"() {
        await inPage("ship-it.html", async page => {
            const place = page.locator(".play-here").first();
            await place.locator("summary").press("Enter");
            await place.locator(".play").waitFor();
            const slider = place.getByRole("slider");
            const told = page.locator(".story:not(.play)", { hasText: "Blocks of one size are freed" });
            // The lists of a picture: each row's name, and the numbers of its blocks.
            const rows = picture => picture.evaluate(svg => {
                const texts = [...svg.querySelectorAll("text")].map(text => text.textContent);
                const names = texts.map((text, at) => [text, at]).filter(([text]) => /^(fast bin|cache) 32$/.test(text));
                return names.map(([name, at], i) => [name, texts.slice(at + 1, names[i + 1]?.[1]).filter(text => text.includes("·")).map(text => parseInt(text.replace("b", "")))]);
            });
            // After each of these steps here, and there.
            for (const [step, picture] of [[20, 1], [21, 2], [35, 3], [36, 4], [37, 5]]) {
                await slider.fill(`${step}`);
                assert.deepEqual(await rows(place.locator(".play svg.heap")), await rows(told.locator("svg").nth(picture)), `step ${step}`);
            }
            const cells = await place.locator(".cell").evaluateAll(all => all.map(cell => [cell.textContent, cell.dataset.meaning]));
            assert.deepEqual(cells[2], ["→ end", "the next block of the cache → end, masked"]);
            assert.deepEqual(cells[3], ["6b65707420627920", "the key of a cached block"]);
            // The same without the cache: the fast bin takes all of them.
            await place.locator("[name=heap]").selectOption("fast");
            await slider.fill("36");
            const [[name, blocks]] = await rows(place.locator(".play svg.heap"));
            assert.deepEqual([name, blocks.length], ["fast bin 32", 17]);
        });
    },

    async "without JavaScript a story below a section is a text, and paper leaves it out"() {
        for (const name of withPlaygrounds) {
            await inPage(name, async page => {
                const place = page.locator(".play-here").first();
                await place.locator("summary").click();
                assert.ok(await place.getByText("when scripts may run").isVisible());
                assert.match(await place.locator("pre").textContent(), /malloc\(/);
            }, { script: false });
            await inPage(name, async page => {
                await page.emulateMedia({ media: "print" });
                for (const place of await page.locator(".play-here").all()) assert.equal(await place.isVisible(), false);
            });
        }
    },

    async "every folded text can be unfolded without JavaScript, and paper shows it"() {
        let folded = 0;
        for (const name of pages) {
            // The text of a fold is what comes after its summary.
            const hidden = page => page.evaluate(() => [...document.querySelectorAll(".content details:not(.play-here)")]
                .filter(details => ![...details.children].some(part => part.tagName !== "SUMMARY" && part.checkVisibility() && part.getBoundingClientRect().height > 0))
                .map(details => details.querySelector("summary").textContent));
            await inPage(name, async page => {
                await page.emulateMedia({ media: "print" });
                assert.deepEqual(await hidden(page), [], "folded on paper");
            });
            await inPage(name, async page => {
                for (const details of await page.locator(".content details:not(.play-here)").all()) {
                    await details.locator("> summary").click();
                    folded += 1;
                }
                assert.deepEqual(await hidden(page), [], "folded without JavaScript");
            }, { script: false });
        }
        return `${folded} of them on ${pages.length} pages`;
    },

    async "a story is a link: who opens it sees the same"() {
        for (const [heap, fit, story, step] of [
            ["page", "worst", "a = malloc(100)\nb = malloc(50)\nfree(a)\nc = malloc(20)", 4],
            ["system", "best", "big_1 = calloc(1000, 1000)\nbig_1 = realloc(big_1, 0x200000)\nfree(big_1)", 2],
            ["fast", null, "a = malloc(10 * 8)\nfree(a)\n?", 3],
            ["cache", null, "a = malloc(24)\nother code moves the break by +4096\nfree(a)", 4],
        ]) {
            let link;
            let here;
            await inPage(PLAYGROUND, async page => {
                await page.selectOption("[name=heap]", heap);
                if (fit) await page.selectOption("[name=fit]", fit);
                if (heap === "page") await page.locator("[name=split]").check();
                await type(page, story);
                await page.locator(".play").getByRole("slider").fill(`${step}`);
                await page.getByRole("button", { name: "Copy a link to this story" }).click();
                here = await shown(page);
                link = new URL(page.url()).hash;
                assert.equal(await page.getByRole("textbox", { name: "The link" }).inputValue(), page.url());
            });
            assert.match(link, /^#heap=[^ ]*&story=[^ ]+$/);
            await inPage(PLAYGROUND, async page => assert.deepEqual(await shown(page), here), { hash: link });
        }
        await inPage(PLAYGROUND, async page => {
            const { heap, joining, returns } = await shown(page);
            assert.deepEqual([heap, joining, returns], ["page", true, ["a = malloc(40) → +0x0010", "free(a)"]]);
        }, { hash: "#heap=page&fit=best&split&join&story=a=malloc(40);free(a)" });
    },

    async "a trace is opened, plain or packed, as a map that can be zoomed and pointed at"() {
        const lines = ["a 0 100", "a 1 1000000", "r 0 200", "a 2 20", "f 0", "f 1"];
        const trace = Buffer.from(`1\n3\n${lines.length}\n1\n${lines.join("\n")}\n`);
        await inPage(PLAYGROUND, async page => {
            const open = (name, buffer) => page.setInputFiles("#map-file", { name, mimeType: "application/octet-stream", buffer });
            const says = page.locator("#heap-map .mistake");
            const until = async pattern => {
                await page.waitForFunction(source => new RegExp(source).test(document.querySelector("#heap-map .mistake").textContent), pattern.source);
            };
            await open("wrong.rep", Buffer.from("1\n1\n1\n1\nx 0\n"));
            await until(/^Line 5: /);
            assert.ok(await page.locator(".map-view").isHidden());
            for (const [name, buffer] of [["plain.rep", trace], ["packed.rep.gz", gzipSync(trace)]]) {
                await open(name, buffer);
                await until(/^6 operations\. At most 1,000,220 bytes were alive at once, .* Not drawn .*: 1\.$/);
            }
            await page.selectOption("#map-malloc", "system best");
            const map = page.locator("#heap-map canvas");
            const picture = () => map.evaluate(canvas => canvas.toDataURL());
            // A block of 208 bytes in a heap of 132 KiB is small at first.
            const whole = await picture();
            await map.focus();
            for (let i = 0; i < 30; i += 1) {
                await page.keyboard.press("ArrowDown");
                await page.keyboard.press("+");
                await page.keyboard.press("ArrowDown");
            }
            assert.notEqual(await picture(), whole, "it is zoomed");
            for (let i = 0; i < 9; i += 1) await page.keyboard.press("ArrowLeft");
            const box = await map.boundingBox();
            await page.mouse.move(box.x + 80, box.y + box.height - 30);
            assert.match(await page.locator("#heap-map .decoded").textContent(), /^A chunk of 112 bytes at \+0x0000, from operation 1 to 2\.$/);
            await page.keyboard.press("0");
            assert.equal(await picture(), whole, "it is whole again");
            assert.equal(page.url(), url(PLAYGROUND), "no key has turned the page");
            assert.ok(await says.isVisible());
        });
    },

    async "the playground shows what the same code shows on this machine, for every drawn story"() {
        if (!stories) return "not compared: no stories were given";
        let played = 0;
        let steps = 0;
        await inPage(PLAYGROUND, async page => {
            for (const line of readFileSync(stories, "utf8").trimEnd().split("\n")) {
                const { settings, text, shown } = JSON.parse(line);
                const here = await page.evaluate(([settings, text]) => {
                    const { play, view } = window.heaplab.playground;
                    const summary = play(settings, text);
                    return { summary, steps: summary.steps.map((_, now) => view(now, now - 1)) };
                }, [settings, text]);
                assert.deepEqual(here, shown, `${settings}: ${text}`);
                played += 1;
                steps += here.steps.length;
            }
        });
        assert.ok(played >= 1000, `only ${played} stories`);
        return `${played} stories, ${steps} steps`;
    },

    async "the playground's examples stay inside the page at 1280 and 400 px"() {
        for (const width of [1280, 400]) {
            await inPage(PLAYGROUND, async page => {
                const examples = await page.locator("[name=example] option").count();
                for (let example = 0; example < examples - 1; example += 1) {
                    await page.selectOption("[name=example]", `${example}`);
                    await page.locator(".play").getByRole("slider").press("End");
                    const over = await page.evaluate(() => {
                        const content = document.querySelector(".content");
                        const boxes = [content, ...document.querySelectorAll(".play-form, .play-form .typed, .play, .play .controls, .play .said")];
                        return boxes.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.className);
                    });
                    assert.deepEqual(over, [], `example ${example} at ${width} px`);
                    assert.equal((await shown(page)).mistake, "", `example ${example}`);
                }
            }, { width });
        }
    },

    async "nothing runs over the page or out of its picture, at 1280 and 400 px, in light, navy and ayu"() {
        const found = [];
        for (const name of pages) {
            for (const width of [1280, 400]) {
                for (const theme of ["light", "navy", "ayu"]) {
                    await inPage(name, async page => {
                        const over = await page.evaluate(() => {
                            document.querySelectorAll("details.answer").forEach(details => { details.hidden = false; details.open = true; });
                            const over = [];
                            const content = document.querySelector(".content");
                            if (content.scrollWidth > content.clientWidth + 1) over.push("the page is wider than the screen");
                            for (const box of document.querySelectorAll(".predict, .story, .predict .ask, .story .controls")) {
                                if (box.scrollWidth > box.clientWidth + 1) over.push(`.${box.className}: ${box.textContent.slice(0, 40)}`);
                            }
                            // No word may leave its picture.
                            for (const svg of document.querySelectorAll("svg.heap")) {
                                const { width, height } = svg.viewBox.baseVal;
                                for (const text of svg.querySelectorAll("text")) {
                                    const place = text.getBBox();
                                    if (place.x < -1 || place.y < -1 || place.x + place.width > width + 1 || place.y + place.height > height + 1) {
                                        over.push(`a word leaves its picture: ${text.textContent}`);
                                    }
                                }
                            }
                            return [...new Set(over)];
                        });
                        found.push(...over.map(what => `${name} at ${width} px in ${theme}: ${what}`));
                    }, { width, theme });
                }
            }
        }
        assert.deepEqual(found, []);
        return `${pages.length} pages`;
    },

    async "words can be told from what is under them in every theme, as far as WCAG's AA asks"() {
        const found = new Set();
        let pairs = 0;
        for (const theme of ["light", "rust", "coal", "navy", "ayu"]) {
            for (const name of pages) {
                await inPage(name, async page => {
                    const measured = await page.evaluate(measureContrast);
                    pairs += measured.pairs;
                    measured.low.forEach(what => found.add(`${theme}: ${what}`));
                }, { theme });
            }
        }
        assert.deepEqual([...found], []);
        return `${pairs} pairs of colours`;
    },

    async "a page weighs less than a megabyte, with its fonts, styles and scripts"() {
        let heaviest = { weight: 0 };
        await withServer(async address => {
            // The playground brings a program along.
            for (const name of pages.filter(name => name !== "playground.html")) {
                const context = await browser.newContext();
                const page = await context.newPage();
                const files = [];
                page.on("response", response => files.push(response.body().then(body => body.length, () => 0)));
                await page.goto(`${address}${name}`, { waitUntil: "load" });
                await page.evaluate(() => document.fonts.ready.then(() => {}));
                const weight = (await Promise.all(files)).reduce((all, file) => all + file, 0);
                if (weight > heaviest.weight) heaviest = { name, weight };
                await context.close();
            }
        });
        assert.ok(heaviest.weight > 100_000 && heaviest.weight < 1_000_000, JSON.stringify(heaviest));
        return `the heaviest is ${heaviest.name}, with ${Math.round(heaviest.weight / 1000)} kB`;
    },

    async "under cargo book, each rule has the reader's mark and each failed case its screen, as soon as a run has ended"() {
        await withServer(async (address, reports) => {
            const context = await browser.newContext({ viewport: { width: 400, height: 900 } });
            const page = await context.newPage();
            const errors = [];
            page.on("pageerror", error => errors.push(error.message));
            await page.goto(`${address}free-lists.html`);
            const box = page.locator(".rules[data-lab=lab03]");
            await box.getByText("Your marks appear here after cargo test -p lab03.").waitFor();
            assert.equal(await box.locator(".grade").count(), 0, "no mark without a run");

            // A run in which the second rule's first case fails, with a screen that tries to be HTML.
            const rules = [...source("free-lists.html").matchAll(/<tr><td[^>]*>(\d+)<\/td>.*?data-rule="(.*?)".*?<\/tr>/gs)]
                .map(([row, points, id]) => ({ id, points: Number(points), names: [...row.matchAll(/<code>(\w+)<\/code>(?=<br>|<\/td>)/g)].map(match => match[1]) }));
            assert.ok(rules.length > 5 && rules.every(rule => rule.names.length > 0), JSON.stringify(rules));
            const lost = rules[1];
            const write = failing => writeFileSync(join(reports, "lab03.json"), JSON.stringify({
                format: "heap-lab-book/report/1", lab: "lab03", void: null, score: failing ? 100 - lost.points : 100, max_score: 100,
                rules: rules.map(({ id, points, names }) => ({
                    id, text: "", page: "", points, earned: failing && id === lost.id ? 0 : points,
                    cases: names.map(name => {
                        const fails = failing && name === lost.names[0];
                        return {
                            name, verdict: fails ? "crashed" : "passed", seconds: 0, screen: fails ? "  +0x0050   free    80   P\n<b>list</b>: head → end" : "",
                            playground: fails ? "playground.html#heap=page&fit=first&story=a=malloc(64);free(a)" : undefined,
                        };
                    }),
                })),
            }));
            write(true);
            await box.getByText(`Your last run of lab03: ${100 - lost.points} of 100 points, ${rules.length - 1} of ${rules.length} rules.`).waitFor();
            assert.equal(await box.locator("tr.earned").count(), rules.length - 1);
            assert.equal(await box.locator("tr.lost td").first().textContent(), `✗ 0 / ${lost.points}`);
            const failed = box.locator("details.grade");
            assert.equal(await failed.count(), 1, "one case unfolds");
            assert.equal(await box.locator("details.explanation").count(), 0, "what is not done is not explained");
            await failed.locator("summary").press("Enter");
            assert.match(await failed.locator("summary").textContent(), new RegExp(`✗ ${lost.names[0]} crashed`));
            assert.equal(await failed.locator("pre").textContent(), "  +0x0050   free    80   P\n<b>list</b>: head → end");
            assert.equal(await failed.locator("b").count(), 0, "what a run says is text");
            const beside = await context.newPage();
            await beside.goto(await failed.getByRole("link").evaluate(link => link.href));
            await beside.locator("#heap-playground .play").waitFor();
            assert.deepEqual((await shown(beside)).returns, ["a = malloc(64) → +0x0010", "free(a)"], "the story of the case is played");
            await beside.close();
            assert.ok(await page.locator(".content").evaluate(content => content.scrollWidth <= content.clientWidth + 1), "it fits the page");

            // The next run fails in the same way: what is unfolded stays so. Then all is well.
            write(true);
            await page.waitForTimeout(1500);
            assert.ok(await failed.locator("pre").isVisible(), "it stays unfolded");
            write(false);
            await box.getByText("Your last run of lab03: 100 of 100 points").waitFor();
            assert.equal(await box.locator("tr.earned").count(), rules.length);
            assert.equal(await failed.count(), 0);
            const explanation = box.locator("details.explanation");
            assert.equal(await explanation.locator("pre").first().isVisible(), false, "it is folded");
            await explanation.locator("summary").press("Enter");
            assert.match(await explanation.locator("pre").first().textContent(), /labs\/lab03\/solution\/free_list\.rs:\d+\n.*fn push/);
            assert.ok(await page.locator(".content").evaluate(content => content.scrollWidth <= content.clientWidth + 1), "the explanation fits the page");
            assert.deepEqual(errors, [], "errors in scripts");
            await context.close();

            const { host } = new URL(address);
            assert.match((await asked(address, "/__grades/lab03", host)).text, /"summary"/);
            assert.equal((await asked(address, "/__grades/lab03", "heap.example.org")).status, 404);
            assert.doesNotMatch((await asked(address, "/__news", "heap.example.org")).text, /grades/);
        });
        for (const name of pages) assert.doesNotMatch(source(name), /__grades|grade-summary/, `${name}: the built page knows of no marks`);
    },
};

let failed = 0;
for (const [name, test] of Object.entries(tests).filter(([name]) => name.includes(process.argv[3] ?? ""))) {
    try {
        const note = await test();
        console.log(`ok    ${name}${note ? ` (${note})` : ""}`);
    } catch (error) {
        failed += 1;
        console.log(`FAIL  ${name}\n      ${error.message}`);
    }
}
await browser.close();
process.exitCode = failed ? 1 : 0;

// The book in a real browser. `ci/browser` runs it.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { chromium } = await import(pathToFileURL(process.env.PLAYWRIGHT).href);
const book = resolve(process.argv[2]);
const url = page => pathToFileURL(`${book}/${page}`).href;
const source = page => readFileSync(`${book}/${page}`, "utf8");
// The first page is there twice, and print.html holds all of them.
const pages = readdirSync(book).filter(name => name.endsWith(".html") && !["404.html", "index.html", "print.html", "toc.html"].includes(name));
const withBoxes = pages.filter(page => source(page).includes("data-key="));
const withStories = pages.filter(page => source(page).includes("heap-figure story"));

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
    await page.goto(url(name));
    try {
        await work(page);
    } catch (error) {
        error.message = `${name}: ${error.message}`;
        throw error;
    }
    if (!options.forgetful) assert.deepEqual(errors, [], `${name}: errors in scripts`);
    await context.close();
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
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
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

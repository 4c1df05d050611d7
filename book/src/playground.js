// The playground: a reader types malloc and free, and sees the heap after each call. book/play does the work, compiled to
// WebAssembly by ci/playground; this script is only what the reader touches. Only the page Playground loads it.
"use strict";

addEventListener("DOMContentLoaded", () => {
    const place = document.getElementById("heap-playground");
    // print.html holds all pages, and is there to be printed.
    if (!place || location.pathname.endsWith("/print.html")) return;
    const { element, follow, makeStepper } = window.heaplab;

    const EXAMPLES = [
        ["Two blocks freed, one used again", "page first", "a = malloc(100)\nb = malloc(50)\nc = malloc(200)\nd = malloc(80)\nfree(b)\nfree(c)\ne = malloc(40)"],
        ["First, best and worst fit differ", "page best", "a = malloc(100)\nv = malloc(1)\nb = malloc(50)\nw = malloc(1)\nc = malloc(200)\nx = malloc(1)\nd = malloc(80)\ny = malloc(1)\nfree(d)\nfree(c)\nfree(b)\nfree(a)\nz = malloc(60)"],
        ["Neighbours are joined", "page first split join", "a = malloc(64)\nb = malloc(64)\nc = malloc(64)\nd = malloc(64)\nfree(a)\nfree(c)\nfree(b)\nbig = malloc(200)"],
        ["The break, a mapping, and realloc", "system best", "a = malloc(100)\nb = calloc(10, 8)\nbig = malloc(1000000)\na = realloc(a, 1000)\nfree(big)\nfree(b)"],
        ["From the unsorted bin into its bin", "bins", "a = malloc(40)\nx = malloc(1)\nb = malloc(100)\ny = malloc(1)\nc = malloc(2000)\nz = malloc(1)\nfree(a)\nfree(b)\nfree(c)\nd = malloc(500)"],
        ["Fast bins leave small blocks alone", "fast", "a = malloc(40)\nb = malloc(40)\nc = malloc(40)\nfree(a)\nfree(b)\nd = malloc(40)"],
    ];
    const WORDS = /`([^`]*)`/g;

    // ---- the program

    let heap = null;

    async function start() {
        if (!window.heaplabPlayground) {
            await new Promise(done => document.head.append(element("script", { src: "playground.wasm.js", onload: done, onerror: done })));
        }
        const coded = window.heaplabPlayground;
        if (!coded) throw new Error("The playground isn't built yet. With the whole course, `rustup component add rust-src` and then `ci/playground` build it, in a minute or two; then build the book again.");
        const bytes = Uint8Array.from(atob(coded), letter => letter.charCodeAt(0));
        try {
            heap = (await WebAssembly.instantiate(bytes)).instance.exports;
        } catch (error) {
            throw new Error(`This browser can't run the playground: ${error.message}. Its words have 64 bits, and so has its memory; a newer browser knows that.`);
        }
    }

    function answer() {
        const at = Number(heap.output());
        return JSON.parse(new TextDecoder().decode(new Uint8Array(heap.memory.buffer, at, Number(heap.output_len()))));
    }

    function ask(question, settings, text) {
        const bytes = new TextEncoder().encode(`${settings}\n${text}`);
        const at = Number(heap.input(BigInt(bytes.length)));
        new Uint8Array(heap.memory.buffer, at, bytes.length).set(bytes);
        heap[question]();
        return answer();
    }
    const play = (settings, story) => ask("play", settings, story);
    // A trace of a real program: which block was where, from when to when.
    const map = (settings, trace) => ask("map", settings, trace);

    // The moment `now`, with what has changed since the moment `since`; without a mark if that is -1.
    function view(now, since) {
        heap.step(BigInt(now), since < 0 ? (1n << 63n) - 1n : BigInt(since));
        return answer();
    }

    // ---- what the reader touches

    // A sentence with `code` in it.
    function sentence(text) {
        const parts = text.split(WORDS);
        return parts.map((part, i) => i % 2 ? element("code", { textContent: part }) : part);
    }

    function choice(label, options, id) {
        const select = element("select", { id }, options.map(([value, text]) => element("option", { value, textContent: text })));
        return [select, element("label", {}, [label, " ", select])];
    }
    function box(label, id) {
        const input = element("input", { type: "checkbox", id });
        return [input, element("label", {}, [input, " ", label])];
    }

    const [example, exampleLabel] = choice("Example", [["", "choose one …"], ...EXAMPLES.map(([title], i) => [i, title])], "play-example");
    const [from, fromLabel] = choice("Heap", [
        ["page", "one page (labs 3 and 4)"],
        ["system", "from the system (lab 5)"],
        ["bins", "with bins (lab 6)"],
        ["fast", "with bins and fast bins (lab 6)"],
    ], "play-heap");
    const [fit, fitLabel] = choice("Fit", [["first", "first fit"], ["best", "best fit"], ["worst", "worst fit"]], "play-fit");
    const [splitting, splittingLabel] = box("splitting", "play-splitting");
    const [joining, joiningLabel] = box("joining", "play-joining");
    const whose = element("p", { className: "whose" });
    const text = element("textarea", { id: "play-text", rows: 9, spellcheck: false, autocapitalize: "off", autocomplete: "off" });
    const calls = element("ol", { className: "calls" });
    const mistake = element("p", { className: "mistake" });
    mistake.setAttribute("role", "status");
    const share = element("button", { type: "button", textContent: "Copy a link to this story" });
    const link = element("input", { type: "text", readOnly: true, className: "link", hidden: true });
    link.setAttribute("aria-label", "The link");
    const shared = element("span", { className: "shared" });
    shared.setAttribute("role", "status");

    const said = element("p", { className: "said" });
    said.setAttribute("aria-live", "polite");
    const [since, sinceLabel] = choice("Marked: what has changed since", [], "play-since");
    const picture = element("div", { className: "heap-scroll", tabIndex: 0 });
    const sum = element("p", { className: "sum" });
    const mappings = element("ul", { className: "mappings" });
    const words = element("div", { className: "words" });
    words.setAttribute("role", "grid");
    words.setAttribute("aria-label", "The words of the heap, two in a row: the arrow keys lead from word to word");
    const decoded = element("p", { className: "decoded" });
    decoded.setAttribute("aria-live", "polite");

    let steps = [];
    let compared = "before";

    const stepper = makeStepper(show, all => `The story, in ${all} steps: the arrow keys step back and forth`);

    function settings() {
        const page = from.value === "page";
        const chosen = [from.value];
        if (from.value === "page" || from.value === "system") chosen.push(fit.value);
        if (page && splitting.checked) chosen.push("split");
        if (page && joining.checked) chosen.push("join");
        return chosen.join(" ");
    }

    function set(settings) {
        const chosen = settings.split(" ");
        from.value = chosen[0];
        fit.value = chosen.find(word => ["first", "best", "worst"].includes(word)) ?? "best";
        splitting.checked = chosen.includes("split");
        joining.checked = chosen.includes("join");
    }

    // Plays the story anew, and shows its last step, or `to`.
    function playAgain(to = Infinity) {
        const page = from.value === "page";
        fit.disabled = !page && from.value !== "system";
        for (const switched of [splitting, joining]) {
            switched.disabled = !page;
            switched.closest("label").title = page ? "" : "This malloc always does it.";
        }
        const story = play(settings(), text.value);
        steps = story.steps;
        whose.textContent = story.malloc;
        mistake.replaceChildren(...(story.mistake ? sentence(`Line ${story.mistake.line}: ${story.mistake.what}`) : []));
        calls.replaceChildren(...steps.slice(1).map((step, i) => {
            const go = element("button", { type: "button" }, [
                element("code", { textContent: step.action }),
                ...(step.result ? [" → ", element("code", { textContent: step.result })] : []),
            ]);
            go.addEventListener("click", () => stepper.go(i + 1));
            return element("li", {}, [go]);
        }));
        since.replaceChildren(
            element("option", { value: "before", textContent: "the step before" }),
            ...steps.map((step, i) => element("option", { value: i, textContent: `step ${i + 1}: ${step.action || "the beginning"}` })),
        );
        if (compared !== "before" && compared >= steps.length) compared = "before";
        since.value = compared;
        link.hidden = true;
        shared.textContent = "";
        stepper.tell(steps.length, Math.min(to, steps.length - 1));
    }

    function show(now) {
        const seen = view(now, compared === "before" ? now - 1 : Number(compared));
        const step = steps[now];
        const what = step.action ? `\`${step.action}\`${step.result ? ` returns \`${step.result}\`` : ""}.` : "Nothing has been called yet.";
        const asked = seen.calls.length ? ` It asked the system: ${seen.calls.map(call => `\`${call}\``).join(", ")}.` : "";
        said.replaceChildren(...sentence([what, seen.note].filter(Boolean).join(" ") + asked));
        const before = picture.scrollLeft;
        picture.innerHTML = seen.svg;
        picture.style.setProperty("--natural-width", `${picture.firstElementChild?.getAttribute("width") ?? 0}px`);
        follow(picture, before);
        sum.textContent = seen.sum;
        mappings.replaceChildren(...seen.mappings.map(mapping => element("li", { textContent: mapping })));
        showWords(seen.rows);
        [...calls.children].forEach((item, i) => item.classList.toggle("now", i + 1 === now));
        keepInSight(calls.children[now - 1]);
        return what.replaceAll("`", "");
    }

    // Scrolls a box to a part of it, and never the page.
    function scrollTo(box, part) {
        const bottom = part.offsetTop + part.offsetHeight;
        if (part.offsetTop < box.scrollTop) box.scrollTop = part.offsetTop;
        else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
    }

    function keepInSight(item) {
        if (!item) return calls.scrollTop = 0;
        scrollTo(calls, item);
    }

    // ---- the words

    function showWords(rows) {
        let chunk = null;
        let odd = false;
        words.replaceChildren(...rows.map(row => {
            if (row.skipped) {
                return element("div", { className: `skipped ${row.changed ? "changed" : ""}` }, [`… ${row.skipped} rows of the same chunk`]);
            }
            const line = element("div", { className: "row" }, [element("span", { className: "at", textContent: row.at })]);
            line.setAttribute("role", "row");
            for (const word of row.words) {
                if (word.chunk !== chunk) odd = !odd;
                chunk = word.chunk;
                const cell = element("span", {
                    className: `cell ${word.role} ${odd ? "odd" : ""} ${word.changed ? "changed" : ""}`,
                    tabIndex: -1,
                    textContent: word.value,
                });
                cell.setAttribute("role", "gridcell");
                cell.dataset.at = word.chunk;
                cell.dataset.meaning = word.meaning;
                cell.dataset.word = row.at;
                line.append(cell);
            }
            line.append(element("span", { className: "letters", textContent: row.words.map(word => word.letters.padEnd(8)).join("") }));
            return line;
        }));
        const first = words.querySelector(".cell");
        if (first) first.tabIndex = 0;
        words.hidden = !first;
        decode(null);
    }

    function decode(cell) {
        document.querySelectorAll("#heap-playground .lit").forEach(lit => lit.classList.remove("lit"));
        if (!cell) {
            decoded.textContent = words.hidden ? "" : "Point at a word, or go there with the arrow keys: this line says what it means.";
            return;
        }
        light(cell.dataset.at);
        const cells = [...cell.parentElement.querySelectorAll(".cell")];
        const at = parseInt(cell.dataset.word.slice(1), 16) + 8 * cells.indexOf(cell);
        const changed = cell.classList.contains("changed") ? " It has changed." : "";
        decoded.textContent = `+0x${at.toString(16).padStart(4, "0")}: ${cell.textContent}: ${cell.dataset.meaning}.${changed}`;
    }

    // Marks what is about a chunk: in the heap, in the lists, among the words.
    function light(chunk) {
        document.querySelectorAll(`#heap-playground [data-at="${chunk}"]`).forEach(part => part.classList.add("lit"));
    }

    words.addEventListener("mouseover", event => event.target.classList.contains("cell") && decode(event.target));
    words.addEventListener("focusin", event => event.target.classList.contains("cell") && decode(event.target));
    words.addEventListener("mouseleave", () => decode(words.contains(document.activeElement) ? document.activeElement : null));
    words.addEventListener("focusout", () => decode(null));
    words.addEventListener("keydown", event => {
        const cells = [...words.querySelectorAll(".cell")];
        const now = cells.indexOf(event.target);
        const to = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowUp: now - 2, ArrowDown: now + 2, Home: 0, End: cells.length - 1 }[event.key];
        if (to === undefined || now < 0) return;
        // The arrow keys also step through the story, and turn the book's pages.
        event.stopPropagation();
        event.preventDefault();
        const next = cells[Math.max(0, Math.min(cells.length - 1, to))];
        event.target.tabIndex = -1;
        next.tabIndex = 0;
        next.focus({ preventScroll: true });
        scrollTo(words, next.parentElement);
    });
    picture.addEventListener("mouseover", event => {
        const part = event.target.closest("[data-at]");
        decode(null);
        if (part) light(part.dataset.at);
    });
    picture.addEventListener("mouseleave", () => decode(null));

    // ---- links

    // `#heap=page&fit=first&split&join&step=3&story=a=malloc(40);free(a)`
    function fragment() {
        const [heap, ...more] = settings().split(" ");
        const parts = [`heap=${heap}`, ...more.map(word => ["split", "join"].includes(word) ? word : `fit=${word}`)];
        if (stepper.now() < steps.length - 1) parts.push(`step=${stepper.now() + 1}`);
        const lines = text.value.split("\n").map(line => line.replace(/(\/\/|#).*/, "").trim().replace(/;$/, "")).filter(Boolean);
        // What a link needn't say: `char *p` needs its space, `a = b` doesn't.
        const story = lines.map(line => line.replace(/\s*([=(),;])\s*/g, "$1")).join(";");
        parts.push(`story=${encodeURIComponent(story).replace(/%(3D|3B|2C|2B|3A)/g, decodeURIComponent)}`);
        return `#${parts.join("&")}`;
    }

    function open(fragment) {
        const parts = new Map(fragment.replace(/^#/, "").split("&").map(part => {
            const [, key, value] = /^([^=]*)=?(.*)$/s.exec(part);
            return [key, value];
        }));
        if (!parts.has("story")) return false;
        let story = parts.get("story");
        try {
            story = decodeURIComponent(story);
        } catch { /* as it is: its mistakes have their own sentences */ }
        const known = ["page", "system", "bins", "fast"];
        set([known.includes(parts.get("heap")) ? parts.get("heap") : "page", parts.get("fit"), parts.has("split") && "split", parts.has("join") && "join"].filter(Boolean).join(" "));
        text.value = story.split(";").map(pretty).join("\n");
        playAgain(Number(parts.get("step") ?? Infinity) - 1);
        return true;
    }

    // `a=malloc(40)` as somebody would write it.
    function pretty(call) {
        return call.replace(/\s*=\s*/, " = ").replace(/,\s*/g, ", ");
    }

    share.addEventListener("click", async () => {
        const fragmentNow = fragment();
        history.replaceState(null, "", fragmentNow);
        link.value = location.href;
        link.hidden = false;
        try {
            await navigator.clipboard.writeText(link.value);
            shared.textContent = "Copied.";
        } catch {
            link.select();
            shared.textContent = "Copy it from here.";
        }
    });
    addEventListener("hashchange", () => heap && open(location.hash));

    // ---- together

    const figure = element("figure", { className: "heap-figure story live play" }, [
        stepper.bar, said, element("div", { className: "compare" }, [sinceLabel]), picture, sum, mappings, words, decoded,
    ]);
    figure.addEventListener("keydown", event => {
        if (event.target === since) event.stopPropagation();
        else stepper.onKey(event);
    });
    const form = element("form", { className: "play-form" }, [
        element("div", { className: "switches" }, [exampleLabel, fromLabel, fitLabel, splittingLabel, joiningLabel]),
        whose,
        element("div", { className: "typed" }, [
            element("label", { htmlFor: "play-text", textContent: "Your story, one call a line" }),
            element("p", { className: "label", textContent: "What each call returns" }),
            text,
            calls,
        ]),
        mistake,
        element("div", { className: "sharing" }, [share, shared, link]),
    ]);
    form.addEventListener("submit", event => event.preventDefault());
    // The arrow keys turn the book's pages, and some letters are its commands: not while somebody types.
    form.addEventListener("keydown", event => event.stopPropagation());

    let typing = 0;
    text.addEventListener("input", () => {
        clearTimeout(typing);
        typing = setTimeout(playAgain, 150);
    });
    for (const input of [from, fit, splitting, joining]) input.addEventListener("change", () => playAgain(stepper.now()));
    since.addEventListener("change", () => {
        compared = since.value === "before" ? "before" : Number(since.value);
        stepper.go(stepper.now());
    });
    example.addEventListener("change", () => {
        if (example.value === "") return;
        const [, chosen, story] = EXAMPLES[example.value];
        set(chosen);
        text.value = story;
        playAgain(0);
    });

    start().then(() => {
        place.replaceChildren(form, figure);
        document.getElementById("heap-map")?.replaceChildren(...window.heaplab.makeMap(map));
        // For the tests: the same questions that this script asks.
        window.heaplab.playground = { play, view, map };
        if (open(location.hash)) return;
        set(EXAMPLES[0][1]);
        text.value = EXAMPLES[0][2];
        playAgain();
    }).catch(error => place.replaceChildren(element("p", { className: "mistake" }, sentence(error.message))));
});

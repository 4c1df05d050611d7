// The playground: a reader types malloc and free, and sees the heap after each call. book/play does the work, compiled to
// WebAssembly by ci/playground; this script is only what the reader touches. The page Playground has one at once; below a section it
// is folded, and the program is loaded when the first one is unfolded.
"use strict";

addEventListener("DOMContentLoaded", () => {
    const page = document.getElementById("heap-playground");
    const folded = document.querySelectorAll(".play-here");
    // print.html holds all pages, and is there to be printed.
    if (!page && !folded.length || location.pathname.endsWith("/print.html")) return;
    const { element, follow, makeStepper } = window.heaplab;
    // From this page to the book's first one.
    const root = new URL(path_to_root, location.href);

    // What a link to each would say.
    const EXAMPLES = [
        ["Two blocks freed, one used again", "heap=page&fit=first&story=a=malloc(100);b=malloc(50);c=malloc(200);d=malloc(80);free(b);free(c);e=malloc(40)"],
        ["First, best and worst fit differ", "heap=page&fit=best&story=a=malloc(100);v=malloc(1);b=malloc(50);w=malloc(1);c=malloc(200);x=malloc(1);d=malloc(80);y=malloc(1);free(d);free(c);free(b);free(a);z=malloc(60)"],
        ["Neighbours are joined", "heap=page&fit=first&split&join&story=a=malloc(64);b=malloc(64);c=malloc(64);d=malloc(64);free(a);free(c);free(b);big=malloc(200)"],
        ["The break, a mapping, and realloc", "heap=system&story=a=malloc(100);b=calloc(10,8);big=malloc(1000000);a=realloc(a,1000);free(big);free(b)"],
        ["From the unsorted bin into its bin", "heap=bins&story=a=malloc(40);x=malloc(1);b=malloc(100);y=malloc(1);c=malloc(2000);z=malloc(1);free(a);free(b);free(c);d=malloc(500)"],
        ["Fast bins leave small blocks alone", "heap=fast&story=a=malloc(40);b=malloc(40);c=malloc(40);free(a);free(b);d=malloc(40)"],
        ["A cache keeps what was freed last", "heap=cache&story=a=malloc(40);b=malloc(40);c=malloc(40);free(a);free(b);d=malloc(40)"],
    ];
    const HEAPS = [
        ["page", "one page (labs 3 and 4)"],
        ["system", "from the system (lab 5)"],
        ["bins", "with bins (lab 6)"],
        ["fast", "with bins and fast bins (lab 6)"],
        ["cache", "with a thread's cache, too (lab 8)"],
    ];
    const FITS = [["first", "first fit"], ["best", "best fit"], ["worst", "worst fit"]];
    const WORDS = /`([^`]*)`/g;

    // ---- the program

    let compiled = null;

    async function compile() {
        await new Promise(done => document.head.append(element("script", { src: new URL("playground.wasm.js", root), onload: done, onerror: done })));
        const coded = window.heaplabPlayground;
        if (!coded) throw new Error("The playground isn't built yet. With the whole course, `rustup component add rust-src` and then `ci/playground` build it, in a minute or two; then build the book again.");
        const bytes = Uint8Array.from(atob(coded), letter => letter.charCodeAt(0));
        try {
            return await WebAssembly.compile(bytes);
        } catch (error) {
            throw new Error(`This browser can't run the playground: ${error.message}. Its words have 64 bits, and so has its memory; a newer browser knows that.`);
        }
    }

    // A run of the program, with memory of its own: what to ask it.
    async function start() {
        compiled ??= compile();
        const heap = (await WebAssembly.instantiate(await compiled)).exports;

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

        return {
            play: (settings, story) => ask("play", settings, story),
            // A trace of a real program: which block was where, from when to when.
            map: (settings, trace) => ask("map", settings, trace),
            // The moment `now`, with what has changed since the moment `since`; without a mark if that is -1.
            view(now, since) {
                heap.step(BigInt(now), since < 0 ? (1n << 63n) - 1n : BigInt(since));
                return answer();
            },
        };
    }

    // ---- what the reader touches

    // A sentence with `code` in it.
    function sentence(text) {
        const parts = text.split(WORDS);
        return parts.map((part, i) => i % 2 ? element("code", { textContent: part }) : part);
    }

    function choice(label, options, name) {
        const select = element("select", { name }, options.map(([value, text]) => element("option", { value, textContent: text })));
        return [select, element("label", {}, [label, " ", select])];
    }
    function box(label, name) {
        const input = element("input", { type: "checkbox", name });
        return [input, element("label", {}, [input, " ", label])];
    }

    // A playground in the place of what is there. It has examples to choose from, if there are any. The result plays the story of a
    // link, unless the link has none.
    function makePlayground(place, { play, view }, examples) {
        const [example, exampleLabel] = choice("Example", [["", "choose one …"], ...examples.map(([title], i) => [i, title])], "example");
        const [from, fromLabel] = choice("Heap", HEAPS, "heap");
        const [fit, fitLabel] = choice("Fit", FITS, "fit");
        const [splitting, splittingLabel] = box("splitting", "split");
        const [joining, joiningLabel] = box("joining", "join");
        exampleLabel.hidden = !examples.length;
        const whose = element("p", { className: "whose" });
        const text = element("textarea", { name: "story", rows: 9, spellcheck: false, autocapitalize: "off", autocomplete: "off" });
        text.setAttribute("aria-label", "Your story, one call a line");
        const calls = element("ol", { className: "calls" });
        const mistake = element("p", { className: "mistake" });
        mistake.setAttribute("role", "status");
        const share = element("button", { type: "button", textContent: "Copy a link to this story" });
        const alone = element("a", { textContent: "Open it on the playground's own page", hidden: place === page });
        const link = element("input", { type: "text", readOnly: true, className: "link", hidden: true });
        link.setAttribute("aria-label", "The link");
        const shared = element("span", { className: "shared" });
        shared.setAttribute("role", "status");

        const said = element("p", { className: "said" });
        said.setAttribute("aria-live", "polite");
        const [since, sinceLabel] = choice("Marked: what has changed since", [], "since");
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
            alone.href = address();
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
            place.querySelectorAll(".lit").forEach(lit => lit.classList.remove("lit"));
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
            place.querySelectorAll(`[data-at="${chunk}"]`).forEach(part => part.classList.add("lit"));
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

        // The same as an address of its own.
        function address() {
            return new URL(`playground.html${fragment()}`, root).href;
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
            from.value = HEAPS.some(([heap]) => heap === parts.get("heap")) ? parts.get("heap") : "page";
            fit.value = FITS.some(([fit]) => fit === parts.get("fit")) ? parts.get("fit") : "best";
            splitting.checked = parts.has("split");
            joining.checked = parts.has("join");
            text.value = story.split(";").map(pretty).join("\n");
            playAgain(Number(parts.get("step") ?? Infinity) - 1);
            return true;
        }

        // `a=malloc(40)` as somebody would write it.
        function pretty(call) {
            return call.replace(/\s*=\s*/, " = ").replace(/,\s*/g, ", ");
        }

        share.addEventListener("click", async () => {
            link.value = address();
            if (place === page) history.replaceState(null, "", fragment());
            link.hidden = false;
            try {
                await navigator.clipboard.writeText(link.value);
                shared.textContent = "Copied.";
            } catch {
                link.select();
                shared.textContent = "Copy it from here.";
            }
        });
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
                element("p", { className: "label", textContent: "Your story, one call a line" }),
                element("p", { className: "label", textContent: "What each call returns" }),
                text,
                calls,
            ]),
            mistake,
            element("div", { className: "sharing" }, [share, alone, shared, link]),
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
            open(`${examples[example.value][1]}&step=1`);
        });

        place.replaceChildren(form, figure);
        return open;
    }

    // ---- where they are

    // Starts a playground in a place, and gives it to `use`. Where that can't be, the place says why.
    async function setUp(place, examples, use) {
        try {
            const program = await start();
            use(makePlayground(place, program, examples), program);
        } catch (error) {
            place.firstElementChild.replaceWith(element("p", { className: "mistake" }, sentence(error.message)));
        }
    }

    if (page) {
        setUp(page, EXAMPLES, (open, program) => {
            document.getElementById("heap-map")?.replaceChildren(...window.heaplab.makeMap(program.map));
            // For the tests: the same questions that this script asks.
            window.heaplab.playground = program;
            open(location.hash) || open(EXAMPLES[0][1]);
            addEventListener("hashchange", () => open(location.hash));
        });
    }
    for (const details of folded) {
        const place = details.querySelector(".place");
        details.addEventListener("toggle", () => setUp(place, [], open => open(details.dataset.story)), { once: true });
    }
});

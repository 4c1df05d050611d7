// The playground's second half: the heap of a real program over time, from a trace in the `.rep` format. A block is a rectangle: as wide
// as its life is long, as high as its chunk.
"use strict";

window.heaplab.makeMap = map => {
    const { element } = window.heaplab;
    const HEIGHT = 360;
    const LEFT = 74;
    const BELOW = 22;

    const file = element("input", { type: "file", id: "map-file", accept: ".rep,.gz,text/plain" });
    const malloc = element("select", { id: "map-malloc" }, [
        ["bins", "bins (lab 6)"],
        ["fast", "bins and fast bins (lab 6)"],
        ["cache", "the same with a thread's cache (lab 8)"],
        ["system best", "one list, best fit (lab 5)"],
        ["system first", "one list, first fit"],
        ["system worst", "one list, worst fit"],
    ].map(([value, textContent]) => element("option", { value, textContent })));
    const says = element("p", { className: "mistake" });
    says.setAttribute("role", "status");
    const canvas = element("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "img");
    const under = element("p", { className: "decoded" });
    under.setAttribute("aria-live", "polite");
    const button = (textContent, title, work) => {
        const made = element("button", { type: "button", textContent, title });
        made.setAttribute("aria-label", title);
        made.addEventListener("click", work);
        return made;
    };

    let trace = null;
    let drawn = null;
    // What is shown: from which operation to which, from which address to which.
    let shown = null;

    const count = number => number.toLocaleString("en-US");
    const all = () => ({ from: 1, to: drawn.operations + 1, low: 0, high: Math.max(...drawn.breaks.map(([, end]) => end), 4096) });

    function zoom(factor, x = 0.5, y = 0.5) {
        if (!drawn) return;
        const whole = all();
        const stretch = (low, high, at, least, most) => {
            const length = Math.min(Math.max((high - low) * factor, least), most[1] - most[0]);
            const start = Math.min(Math.max(low + (high - low - length) * at, most[0]), most[1] - length);
            return [start, start + length];
        };
        const [from, to] = stretch(shown.from, shown.to, x, 4, [whole.from, whole.to]);
        const [low, high] = stretch(shown.low, shown.high, y, 128, [whole.low, whole.high]);
        shown = { from, to, low, high };
        draw();
    }

    // Moves the window by a part of its own length.
    function move(x, y) {
        if (!drawn) return;
        const whole = all();
        const shift = (low, high, by, most) => {
            const start = Math.min(Math.max(low + by * (high - low), most[0]), most[1] - (high - low));
            return [start, start + high - low];
        };
        const [from, to] = shift(shown.from, shown.to, x, [whole.from, whole.to]);
        const [low, high] = shift(shown.low, shown.high, y, [whole.low, whole.high]);
        shown = { from, to, low, high };
        draw();
    }

    function size() {
        return { width: canvas.clientWidth - LEFT, height: HEIGHT - BELOW };
    }

    function draw() {
        const { width, height } = size();
        const scale = devicePixelRatio || 1;
        canvas.width = (width + LEFT) * scale;
        canvas.height = HEIGHT * scale;
        const style = getComputedStyle(canvas);
        const colour = name => style.getPropertyValue(name).trim();
        const pen = canvas.getContext("2d");
        pen.scale(scale, scale);
        pen.clearRect(0, 0, width + LEFT, HEIGHT);
        const { from, to, low, high } = shown;
        const x = operation => LEFT + (operation - from) / (to - from) * width;
        const y = address => height - (address - low) / (high - low) * height;

        pen.save();
        pen.beginPath();
        pen.rect(LEFT, 0, width, height);
        pen.clip();
        // All that the system has granted.
        pen.fillStyle = colour("--heap-top");
        drawn.breaks.forEach(([since, end], i) => {
            const until = drawn.breaks[i + 1]?.[0] ?? drawn.operations + 1;
            pen.fillRect(x(since), y(end), x(until) - x(since), y(0) - y(end));
        });
        const [used, line] = [colour("--heap-used"), colour("--heap-used-line")];
        for (const [since, until, at, bytes] of drawn.blocks) {
            if (until + 1 < from || since > to || at + bytes < low || at > high) continue;
            const [left, top] = [x(since), y(at + bytes)];
            // However small it is drawn, it is there.
            const [wide, tall] = [Math.max(x(until + 1) - left, 0.7), Math.max(y(at) - top, 0.7)];
            const outlined = wide > 4 && tall > 4;
            pen.fillStyle = outlined ? used : line;
            pen.fillRect(left, top, wide, tall);
            if (outlined) {
                pen.strokeStyle = line;
                pen.lineWidth = 1;
                pen.strokeRect(left + 0.5, top + 0.5, wide - 1, tall - 1);
            }
        }
        pen.restore();

        pen.fillStyle = colour("--heap-dim");
        pen.font = `11px ${style.getPropertyValue("--mono-font")}`;
        pen.textAlign = "right";
        for (const part of [0, 0.25, 0.5, 0.75, 1]) {
            const address = Math.round(low + part * (high - low));
            pen.textBaseline = part === 0 ? "bottom" : part === 1 ? "top" : "middle";
            pen.fillText(`+0x${address.toString(16).padStart(4, "0")}`, LEFT - 6, y(address));
        }
        pen.textBaseline = "bottom";
        const last = Math.min(Math.round(to), drawn.operations);
        pen.textAlign = "left";
        pen.fillText(`operation ${count(Math.round(from))}`, LEFT, HEIGHT - 4);
        pen.textAlign = "right";
        pen.fillText(count(last), LEFT + width, HEIGHT - 4);
    }

    // The block at a place of the picture.
    function blockAt(event) {
        const box = canvas.getBoundingClientRect();
        const { width, height } = size();
        const [x, y] = [(event.clientX - box.left - LEFT) / width, 1 - (event.clientY - box.top) / height];
        const operation = shown.from + x * (shown.to - shown.from);
        const address = shown.low + y * (shown.high - shown.low);
        const block = drawn.blocks.findLast(([since, until, at, bytes]) => since <= operation && operation < until + 1 && at <= address && address < at + bytes);
        return { x, y, block };
    }

    function play() {
        const made = map(malloc.value, trace);
        if (Array.isArray(made)) {
            const [line, what] = made;
            says.textContent = line ? `Line ${line}: ${what}.`.replace(/\.\.$/, ".") : what;
            drawn = null;
            view.hidden = true;
            return;
        }
        drawn = made;
        const mapped = drawn.mapped ? ` Not drawn are the blocks with mappings of their own: ${count(drawn.mapped)}.` : "";
        const refused = drawn.refused ? ` Requests that the malloc refused: ${count(drawn.refused)}.` : "";
        says.textContent = `${count(drawn.operations)} operations. At most ${count(drawn.alive)} bytes were alive at once, and the system had granted at most ${count(drawn.granted)}: ${(100 * drawn.alive / drawn.granted).toFixed(1)} % of that was used.${mapped}${refused}`;
        canvas.setAttribute("aria-label", `The heap over time. ${says.textContent}`);
        view.hidden = false;
        shown = all();
        draw();
        point(null);
    }

    function point(block) {
        under.textContent = block
            ? `A chunk of ${count(block[3])} bytes at +0x${block[2].toString(16).padStart(4, "0")}, from operation ${count(block[0])} to ${count(block[1])}.`
            : "Point at a block to see what it is. Drag the picture to move it, and turn the wheel to zoom; on a keyboard, use the arrow keys, + and -.";
    }

    async function open() {
        const chosen = file.files[0];
        if (!chosen) return;
        try {
            const start = new Uint8Array(await chosen.slice(0, 2).arrayBuffer());
            const packed = start[0] === 0x1f && start[1] === 0x8b;
            const stream = packed ? chosen.stream().pipeThrough(new DecompressionStream("gzip")) : chosen.stream();
            trace = await new Response(stream).text();
        } catch (error) {
            says.textContent = `The file can't be read: ${error.message}`;
            return;
        }
        play();
    }

    file.addEventListener("change", open);
    malloc.addEventListener("change", () => trace !== null && play());
    canvas.addEventListener("wheel", event => {
        if (!drawn) return;
        event.preventDefault();
        const { x, y } = blockAt(event);
        zoom(event.deltaY < 0 ? 0.8 : 1.25, x, y);
    }, { passive: false });
    let dragged = null;
    canvas.addEventListener("pointerdown", event => {
        dragged = [event.clientX, event.clientY];
        canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", () => dragged = null);
    canvas.addEventListener("pointermove", event => {
        if (!drawn) return;
        if (!dragged) return point(blockAt(event).block);
        const { width, height } = size();
        move((dragged[0] - event.clientX) / width, (event.clientY - dragged[1]) / height);
        dragged = [event.clientX, event.clientY];
    });
    canvas.addEventListener("keydown", event => {
        const work = {
            ArrowLeft: () => move(-0.2, 0),
            ArrowRight: () => move(0.2, 0),
            ArrowUp: () => move(0, 0.2),
            ArrowDown: () => move(0, -0.2),
            "+": () => zoom(0.7),
            "-": () => zoom(1 / 0.7),
            0: () => zoom(Infinity),
        }[event.key];
        if (!work || event.altKey || event.ctrlKey || event.metaKey) return;
        // The arrow keys also turn the book's pages.
        event.stopPropagation();
        event.preventDefault();
        work();
    });
    addEventListener("resize", () => drawn && draw());

    const view = element("div", { className: "map-view", hidden: true }, [
        element("div", { className: "controls" }, [
            button("+", "Zoom in", () => zoom(0.7)),
            button("−", "Zoom out", () => zoom(1 / 0.7)),
            button("Whole", "Show the whole map", () => zoom(Infinity)),
        ]),
        canvas,
        under,
    ]);
    const form = element("form", { className: "play-form" }, [
        element("div", { className: "switches" }, [
            element("label", {}, ["Trace ", file]),
            element("label", {}, ["Malloc ", malloc]),
        ]),
    ]);
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("keydown", event => event.stopPropagation());
    return [form, says, view];
};

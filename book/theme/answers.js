// Predict boxes that check an answer, and stories that are told step by step. Without this script a box is a folded answer, and a
// story shows all its steps below each other. book/tools writes both.
"use strict";

(() => {
    const english = {
        answer: "Your answer",
        choices: "Which one?",
        check: "Check",
        show: "Show the answer",
        forget: "Forget my answer",
        right: said => `✓ Right: ${said}.`,
        shown: answer => `The answer is ${answer}.`,
        wrong: said => `✗ ${said} isn't it: `,
        larger: said => `✗ ${said} isn't it. The answer is larger.`,
        smaller: said => `✗ ${said} isn't it. The answer is smaller.`,
        noNumber: "Write a whole number, such as 40.",
        noChoice: "Choose one of them first.",
        back: "Step back",
        forth: "Step forth",
        step: (now, all) => `Step ${now} of ${all}`,
        story: all => `A story in ${all} steps: the arrow keys step back and forth.`,
    };
    const korean = {
        answer: "내 답",
        choices: "어느 것일까요?",
        check: "확인",
        show: "답 보기",
        forget: "내 답 지우기",
        right: said => `✓ 맞습니다: ${said}.`,
        shown: answer => `답은 ${answer}입니다.`,
        wrong: said => `✗ ${said}: 아닙니다. `,
        larger: said => `✗ ${said}: 아닙니다. 답은 더 큽니다.`,
        smaller: said => `✗ ${said}: 아닙니다. 답은 더 작습니다.`,
        noNumber: "40 같은 정수를 쓰세요.",
        noChoice: "먼저 하나를 고르세요.",
        back: "이전 단계",
        forth: "다음 단계",
        step: (now, all) => `${all}단계 중 ${now}단계`,
        story: all => `${all}단계 이야기: 화살표 키로 앞뒤로 움직입니다.`,
    };
    const words = document.documentElement.lang.startsWith("ko") ? korean : english;

    function element(name, properties = {}, children = []) {
        const made = Object.assign(document.createElement(name), properties);
        made.append(...children);
        return made;
    }

    // What the reader said, by the box's key. A browser may refuse to remember anything; then the box works all the same.
    const memory = {
        place: key => `heaplab-predict:${key}`,
        get(key) {
            try {
                return JSON.parse(localStorage.getItem(this.place(key)));
            } catch {
                return null;
            }
        },
        set(key, value) {
            try {
                if (value) localStorage.setItem(this.place(key), JSON.stringify(value));
                else localStorage.removeItem(this.place(key));
            } catch { /* see above */ }
        },
    };

    // 48, 135,168, 0x30 and "48 bytes" are numbers.
    function number(text) {
        const digits = text.trim().replace(/[\s,_]/g, "").replace(/(bytes?|바이트)$/i, "");
        return /^(-?\d+|0x[0-9a-f]+)$/i.test(digits) ? Number(digits) : NaN;
    }

    function makeAsk(box) {
        const { key, kind, answer } = box.dataset;
        const folded = box.querySelector("details.answer");
        const slips = [...box.querySelectorAll(".slips > li")];
        const isNumber = kind === "number";
        const same = (a, b) => isNumber ? number(a) === number(b) : a === b;

        const check = element("button", { textContent: words.check });
        const show = element("button", { type: "button", textContent: words.show });
        const forget = element("button", { type: "button", textContent: words.forget, hidden: true });
        const result = element("p", { className: "result" });
        result.setAttribute("role", "status");
        const field = element("input", { type: "text", inputMode: "numeric", autocomplete: "off", spellcheck: false });
        const options = [answer, ...slips.map(slip => slip.dataset.said)]
            .sort((a, b) => number(a) - number(b) || a.localeCompare(b))
            .map(value => element("input", { type: "radio", name: key, value }));
        const question = isNumber
            ? element("label", {}, [words.answer, " ", field])
            : element("fieldset", {}, [
                element("legend", { textContent: words.choices }),
                ...options.map(option => element("label", {}, [option, " ", option.value])),
            ]);
        const form = element("form", { className: "ask" }, [question, check, show, forget]);

        const said = () => isNumber ? field.value.trim() : options.find(option => option.checked)?.value ?? "";
        function say(kind, ...what) {
            result.className = `result ${kind && `is-${kind}`}`;
            result.replaceChildren(...what);
        }
        function reveal() {
            folded.hidden = false;
            folded.open = true;
            show.hidden = true;
            forget.hidden = false;
        }
        // Says what is wrong with an answer, and where it comes from if the page knows.
        function refuse(wrong) {
            const reason = slips.find(slip => same(slip.dataset.said, wrong))?.querySelector("p").cloneNode(true);
            if (!reason) return say("wrong", number(wrong) < number(answer) ? words.larger(wrong) : words.smaller(wrong));
            reason.querySelector(".if-said").remove();
            say("wrong", words.wrong(wrong), ...reason.childNodes);
        }
        function judge() {
            const now = said();
            if (isNumber ? Number.isNaN(number(now)) : !now) return say("", isNumber ? words.noNumber : words.noChoice);
            const right = same(now, answer);
            // A right answer that was looked up first stays one that was looked up.
            memory.set(key, { said: now, seen: right || !folded.hidden });
            if (!right) return refuse(now);
            say("right", words.right(answer));
            reveal();
        }
        form.addEventListener("submit", event => {
            event.preventDefault();
            judge();
        });
        show.addEventListener("click", () => {
            memory.set(key, { said: said(), seen: true });
            say("", words.shown(answer));
            reveal();
            (isNumber ? field : options[0]).focus();
        });
        forget.addEventListener("click", () => {
            memory.set(key, null);
            field.value = "";
            options.forEach(option => option.checked = false);
            start();
            (isNumber ? field : options[0]).focus();
        });
        // The arrow keys turn the book's pages, and some letters are its commands: not while somebody types.
        form.addEventListener("keydown", event => event.stopPropagation());

        function start() {
            say("");
            folded.hidden = true;
            show.hidden = false;
            forget.hidden = true;
        }
        start();
        folded.before(form, result);
        box.classList.add("live");
        const before = memory.get(key);
        if (!before) return;
        field.value = before.said;
        options.forEach(option => option.checked = option.value === before.said);
        if (before.seen) reveal();
        if (before.said) {
            if (same(before.said, answer)) say("right", words.right(answer));
            else refuse(before.said);
        }
    }

    // Buttons and a slider that lead from step to step, and the keys that do the same. `show` shows a step, and returns what it says.
    function makeStepper(show, title) {
        const back = element("button", { type: "button", textContent: "◀", title: words.back });
        const forth = element("button", { type: "button", textContent: "▶", title: words.forth });
        back.setAttribute("aria-label", words.back);
        forth.setAttribute("aria-label", words.forth);
        const slider = element("input", { type: "range", min: 1 });
        const count = element("span", { className: "count" });
        let now = 0;
        let total = 1;

        function go(to) {
            now = Math.max(0, Math.min(total - 1, to));
            const said = show(now);
            slider.value = now + 1;
            count.textContent = words.step(now + 1, total);
            slider.setAttribute("aria-valuetext", `${count.textContent}: ${said}`);
            // A button that can't do anything keeps its place, and the focus.
            back.setAttribute("aria-disabled", String(now === 0));
            forth.setAttribute("aria-disabled", String(now === total - 1));
        }
        back.addEventListener("click", () => go(now - 1));
        forth.addEventListener("click", () => go(now + 1));
        slider.addEventListener("input", () => go(slider.value - 1));
        const keys = {
            ArrowLeft: () => now - 1,
            ArrowRight: () => now + 1,
            Home: () => 0,
            End: () => total - 1,
        };
        function onKey(event) {
            if (!keys[event.key] || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
            // The arrow keys also turn the book's pages.
            event.stopPropagation();
            // A picture that is wider than the page scrolls.
            const scrolls = event.target.classList.contains("heap-scroll") && event.target.scrollWidth > event.target.clientWidth;
            if (scrolls) return;
            event.preventDefault();
            go(keys[event.key]());
        }
        // From now on there are so many steps.
        function tell(steps, to) {
            total = steps;
            slider.max = steps;
            slider.setAttribute("aria-label", title(steps));
            go(to);
        }
        return { bar: element("div", { className: "controls" }, [back, slider, forth, count]), go, onKey, tell, now: () => now };
    }

    // On a narrow page a picture scrolls: it stays where the one before was, unless what has changed is out of sight.
    function follow(picture, before) {
        picture.scrollLeft = before;
        const changed = picture.querySelector(".changed")?.getBoundingClientRect();
        const seen = picture.getBoundingClientRect();
        if (changed && changed.right > seen.right) picture.scrollLeft += Math.min(changed.right - seen.right, changed.left - seen.left);
        if (changed && changed.left < seen.left) picture.scrollLeft -= seen.left - changed.left;
    }

    function makeStory(story) {
        const list = story.querySelector(".steps");
        const steps = [...list.children];
        const scroller = step => steps[step].querySelector(".heap-scroll");
        let shown = 0;
        const stepper = makeStepper(now => {
            const before = scroller(shown).scrollLeft;
            shown = now;
            steps.forEach((step, i) => {
                step.classList.toggle("now", i === now);
                step.ariaHidden = i === now ? null : "true";
            });
            follow(scroller(now), before);
            return steps[now].firstElementChild.textContent;
        }, words.story);
        story.addEventListener("keydown", stepper.onKey);
        stepper.tell(steps.length, 0);
        list.before(stepper.bar);
        story.classList.add("live");
        // Only what changes from now on is news.
        list.setAttribute("aria-live", "polite");
    }

    // For the playground, which has a script of its own.
    window.heaplab = { element, follow, makeStepper };

    // A page that is made to be printed shows everything.
    if (location.pathname.endsWith("/print.html")) return;
    document.querySelectorAll(".predict[data-key]").forEach(makeAsk);
    document.querySelectorAll(".story").forEach(makeStory);
})();

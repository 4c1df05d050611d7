// Loads the page again after the next build, and puts the reader's marks beside the rules. `cargo book` alone adds this to a page.
"use strict";

(() => {
    const build = document.currentScript.dataset.build;
    const tables = [...document.querySelectorAll(".rules[data-lab]")].map(makeTable);

    function makeTable(box) {
        const summary = element("p", "grade-summary");
        summary.setAttribute("role", "status");
        box.prepend(summary);
        const rows = [...box.querySelectorAll("tr")].filter(row => row.querySelector("[data-rule]"));
        const unmarked = rows.map(row => [...row.cloneNode(true).children]);
        return { box, lab: box.dataset.lab, version: null, summary, rows, unmarked, explanation: null };
    }

    function element(name, className, ...children) {
        const made = document.createElement(name);
        made.className = className;
        made.append(...children);
        return made;
    }

    // A case that failed unfolds to the screen that the terminal shows. What a run has said is text, whatever it holds.
    function caseLine(name, result, isOpen) {
        if (result.passed) return element("span", "grade passed", "✓ ", name);
        if (!result.screen) return element("span", "grade failed", "✗ ", name, ` ${result.verdict}`);
        const screen = element("pre", "", element("code", "language-text", result.screen));
        screen.tabIndex = 0;
        const line = element("details", "grade failed", element("summary", "", "✗ ", name, ` ${result.verdict}`), screen);
        if (result.playground) {
            const link = element("a", "story-link", "This story in the playground: what the reference does with it, step by step");
            link.href = new URL(result.playground, new URL(path_to_root, location.href));
            line.append(link);
        }
        line.open = isOpen;
        return line;
    }

    // Puts the marks on a fresh copy of the row. What the reader has unfolded stays so.
    function markRow(row, unmarked, rule) {
        const open = new Set([...row.querySelectorAll("details[open] > summary > code")].map(name => name.textContent));
        row.replaceChildren(...unmarked.map(cell => cell.cloneNode(true)));
        row.classList.toggle("earned", rule?.earned === rule?.points && Boolean(rule));
        row.classList.toggle("lost", Boolean(rule) && rule.earned !== rule.points);
        if (!rule) return;
        row.firstElementChild.textContent = rule.earned === rule.points ? `✓ ${rule.points}` : `✗ 0 / ${rule.points}`;
        for (const name of row.querySelectorAll("code")) {
            const result = rule.cases.find(result => result.name === name.textContent);
            if (!result) continue;
            const place = document.createComment("");
            name.replaceWith(place);
            place.replaceWith(caseLine(name, result, open.has(result.name)));
        }
        for (const line of row.querySelectorAll("details")) {
            // It begins a line of its own, and ends it.
            for (const beside of [line.previousSibling, line.nextSibling]) if (beside?.nodeName === "BR") beside.remove();
        }
    }

    // `code` in a text.
    function words(text) {
        return text.split("`").map((part, i) => i % 2 ? element("code", "", part) : part);
    }

    function explanationPart({ heading, text, code, place }) {
        if (heading) return element("h4", "", ...words(heading));
        if (text) return element("p", "", ...words(text));
        const lines = element("pre", "", element("code", "language-rust hljs", `// ${place}\n${code}`));
        lines.tabIndex = 0;
        return lines;
    }

    // Only a lab that is done has an explanation: it is folded, below the rules.
    function explain(table, parts) {
        const wasOpen = table.explanation?.open;
        table.explanation?.remove();
        table.explanation = null;
        if (!parts) return;
        const summary = element("summary", "", "How the reference does it, and why");
        table.explanation = element("details", "explanation", summary, ...parts.map(explanationPart));
        table.explanation.open = Boolean(wasOpen);
        table.box.append(table.explanation);
    }

    // What the server says. While it is gone, nothing: the page stays as it is.
    async function ask(path) {
        const answer = await fetch(path).catch(() => null);
        return answer?.ok ? answer.json().catch(() => null) : null;
    }

    async function mark(table, version) {
        const grade = await ask(`/__grades/${table.lab}`);
        if (!grade) return;
        table.version = version;
        table.summary.textContent = grade.summary;
        table.rows.forEach((row, i) => {
            const id = row.querySelector("[data-rule]").dataset.rule;
            markRow(row, table.unmarked[i], grade.rules?.find(rule => rule.id === id));
        });
        explain(table, grade.explanation);
    }

    async function look() {
        const news = await ask("/__news");
        if (!news) return;
        if (news.build !== build) return location.reload();
        for (const table of tables) {
            const version = news.grades?.[table.lab];
            if (version && version !== table.version) await mark(table, version);
        }
    }

    // One question at a time.
    (async function forever() {
        await look();
        setTimeout(forever, 500);
    })();
})();

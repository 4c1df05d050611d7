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
        return { lab: box.dataset.lab, version: null, summary, rows, unmarked };
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

    async function mark(table, version) {
        const answer = await fetch(`/__grades/${table.lab}`);
        if (!answer.ok) return;
        const grade = await answer.json();
        table.version = version;
        table.summary.textContent = grade.summary;
        table.rows.forEach((row, i) => {
            const id = row.querySelector("[data-rule]").dataset.rule;
            markRow(row, table.unmarked[i], grade.rules?.find(rule => rule.id === id));
        });
    }

    async function look() {
        const news = await (await fetch("/__news")).json();
        if (news.build !== build) return location.reload();
        for (const table of tables) {
            const version = news.grades?.[table.lab];
            if (version && version !== table.version) await mark(table, version);
        }
    }

    // One question at a time; while the server is gone, the page stays as it is.
    (async function forever() {
        await look().catch(() => {});
        setTimeout(forever, 500);
    })();
})();

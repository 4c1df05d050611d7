"use strict";
const table = document.getElementById("submissions");
const headings = [...table.tHead.rows[0].cells];
const text = (row, column) => row.cells[column] ? row.cells[column].textContent : "";
headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
  const down = heading.ariaSort === "ascending";
  headings.forEach(other => { other.ariaSort = null; });
  heading.ariaSort = down ? "descending" : "ascending";
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (down ? -1 : 1) * compare(text(a, column), text(b, column)));
  table.tBodies[0].append(...rows);
}));
const open = () => {
  const section = location.hash && document.getElementById(location.hash.slice(1));
  if (!section) return;
  const details = section.closest("details");
  if (details) details.open = true;
  section.scrollIntoView();
};
addEventListener("hashchange", open);
open();

"use strict";
(() => {
  // Tables are sorted by the number of a cell, or by its text; what has no number stays last.
  const key = (row, column, isNumber) => {
    const cell = row.cells[column];
    if (!isNumber) return cell.textContent.trim();
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const compare = (one, other) =>
    typeof one === "string" ? one.localeCompare(other, undefined, { numeric: true }) : one - other;

  const sort = (table, head, column) => {
    const ascends = head.getAttribute("aria-sort") !== "ascending";
    const body = table.tBodies[0];
    const isNumber = head.classList.contains("number");
    const rows = Array.from(body.rows, (row) => [key(row, column, isNumber), row]);
    const known = rows.filter(([value]) => value !== null);
    const unknown = rows.filter(([value]) => value === null);
    known.sort(([one], [other]) => (ascends ? compare(one, other) : compare(other, one)));
    body.append(...known.concat(unknown).map(([, row]) => row));
    for (const one of head.parentElement.cells) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascends ? "ascending" : "descending");
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = table.querySelector("tr.heads");
    if (table.tBodies[0].rows.length < 2) continue;
    Array.from(heads.cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head, column));
    });
  }

  // What is wider than its box is moved by the arrow keys, once it can be reached.
  const reach = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", reach);
  addEventListener("toggle", reach, true);
  reach();

  // On paper nothing can be opened.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = Array.from(document.querySelectorAll("details:not([open])"));
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();

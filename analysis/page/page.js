"use strict";

// A column sorts by data-sort where its cells have one, else by what they say; a cell without a number comes last.
function key(row, column) {
  const cell = row.cells[column];
  const number = parseFloat(cell.dataset.sort ?? cell.textContent.replace(/−/g, "-").replace(/,/g, ""));
  return cell.classList.contains("number") ? number : cell.textContent.trim();
}

function compare(one, other) {
  if (typeof one === "string") return one.localeCompare(other, undefined, { numeric: true });
  return one - other;
}

function sort(table, header, column) {
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  for (const body of table.tBodies) {
    const rows = Array.from(body.rows).filter((row) => !row.classList.contains("section"));
    const keyed = rows.map((row) => [key(row, column), row]);
    const last = (value) => typeof value === "number" && Number.isNaN(value);
    keyed.sort(([one], [other]) => last(one) - last(other) || direction * compare(one, other));
    body.append(...keyed.map(([, row]) => row));
  }
}

for (const table of document.querySelectorAll("table.results")) {
  const headers = table.tHead.rows[table.tHead.rows.length - 1].cells;
  Array.from(headers).forEach((header, column) => {
    if (header.classList.contains("plot")) return;
    const button = document.createElement("button");
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(table, header, column));
  });
}

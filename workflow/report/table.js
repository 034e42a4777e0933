// Filter and sort the scan list, and enlarge its pictures. The page reads well without any of this.
"use strict";
(() => {
  const table = document.getElementById("scan-table");
  if (!table) return;
  const rows = [...table.tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const find = document.getElementById("find");
  const light = document.getElementById("by-light");
  const sequence = document.getElementById("by-sequence");
  const shown = document.getElementById("shown");

  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = texts.get(row);
      row.hidden =
        (light.value && row.dataset.light !== light.value) ||
        (sequence.value && row.dataset.sequence !== sequence.value) ||
        !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length} scans`;
  };
  find.form.hidden = false;
  find.form.addEventListener("submit", (event) => event.preventDefault());
  for (const control of [find, light, sequence]) control.addEventListener("input", filter);
  const search = (text) => {
    find.value = text;
    light.value = sequence.value = "";
    filter();
  };
  for (const link of document.querySelectorAll("a[data-find]"))
    link.addEventListener("click", () => search(link.dataset.find));
  for (const link of document.querySelectorAll('a[href^="#scan-"]')) link.addEventListener("click", () => search(""));

  const order = new Intl.Collator("en", { numeric: true });
  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if ("fixed" in head.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => order.compare(key(a, column), key(b, column)) * (down ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });

  const viewer = document.getElementById("viewer");
  const large = viewer.querySelector("img");
  table.addEventListener("click", (event) => {
    const small = event.target.closest("button")?.querySelector("img");
    if (!small) return;
    large.src = small.src;
    large.alt = small.alt;
    viewer.showModal();
  });
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());

  const wanted = new URLSearchParams(location.search).get("find");
  if (wanted) search(wanted);
  else filter();
  addEventListener("beforeprint", () => document.querySelectorAll("details.scheme").forEach((d) => (d.open = true)));
})();

"use strict";
(() => {
  const root = document.documentElement;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("sweeper-figures");
  const themes = read("sweeper-themes");
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

  // --- figures: drawn when they come near the window, the rest when the browser is idle, all of them before printing

  const drawn = new Set();
  const widths = new Map();
  const legendLine = 19;
  let printing = false;
  // Of a figure in each place of a row: in print there is no window to fit into. page.css scales them to the paper.
  const printWidths = { 1: 900, 2: 560, 3: 420 };
  const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

  // Plotly is megabytes of script: the page is there to be read before it runs.
  function runPlotly() {
    const source = document.getElementById("plotly");
    const script = document.createElement("script");
    script.textContent = source.textContent;
    source.remove();
    document.head.append(script);
  }

  function columns(id) {
    const row = document.getElementById(id).closest(".row");
    return row === null || row.classList.contains("single") ? 1 : row.classList.contains("row-3") ? 3 : 2;
  }

  function draw(id) {
    if (window.Plotly === undefined) runPlotly();
    const { data, layout } = figures[id];
    const size = printing ? { autosize: false, width: printWidths[columns(id)] } : { autosize: true };
    const template = themes[isDark() ? "dark" : "light"];
    // Plotly writes into what it is given: a fresh copy each time keeps the figure as it was computed.
    Plotly.react(id, structuredClone(data), { ...structuredClone(layout), template, ...size }, {
      displaylogo: false,
      displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
      toImageButtonOptions: { format: "svg", filename: id },
    });
    // Loose tick labels say nothing to a screen reader: it has the figure's name, description and data instead.
    document.querySelectorAll(`#${CSS.escape(id)} .main-svg`).forEach((svg) => svg.setAttribute("aria-hidden", "true"));
    drawn.add(id);
    const place = document.getElementById(id);
    widths.set(id, Math.round(place.getBoundingClientRect().width));
    fitting.observe(place);
    makeRoomForLegend(id, layout.height);
  }

  // The height that a figure comes with has room for its legend on a desktop. Where the window is narrow, the legend has
  // more lines: the figure grows by these, so that its plot stays as high as it was.
  function makeRoomForLegend(id, height) {
    const place = document.getElementById(id);
    const rows = new Set(Array.from(place.querySelectorAll(".legend .traces"), (entry) => Math.round(entry.getBoundingClientRect().top)));
    const expected = Math.max(2, Math.round((height - figures[id].height) / legendLine) + 2);
    const whole = height + legendLine * Math.max(rows.size - expected, 0);
    if (place.style.height === `${whole}px`) return;
    place.style.height = `${whole}px`;
    Plotly.relayout(id, { height: whole, autosize: true });  // without it, the width would be fixed too
  }

  // Plotly's own listener hears a window's change only of figures that are drawn by then: one that is being drawn keeps
  // the width it began with.
  const fitting = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const width = Math.round(target.getBoundingClientRect().width);
    if (printing || widths.get(target.id) === width) return;
    widths.set(target.id, width);
    Plotly.Plots.resize(target).then(() => makeRoomForLegend(target.id, figures[target.id].layout.height));
  }));

  const drawMissing = (id) => drawn.has(id) || draw(id);
  const redraw = () => drawn.forEach(draw);
  const idle = window.requestIdleCallback || ((callback) => setTimeout(callback, 50));

  function drawInIdleTime(ids) {
    const next = ids.find((id) => !drawn.has(id));
    if (next === undefined) {
      root.dataset.drawn = "all";
      return;
    }
    idle(() => {
      drawMissing(next);
      drawInIdleTime(ids);
    });
  }

  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawMissing(entry.target.id)),
    { rootMargin: "400px" },
  );
  window.addEventListener("load", () => setTimeout(() => {
    Object.keys(figures).forEach((id) => near.observe(document.getElementById(id)));
    drawInIdleTime(Object.keys(figures));
  }));
  window.addEventListener("beforeprint", () => {
    printing = true;
    Object.keys(figures).forEach(draw);
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    redraw();
  });

  // --- theme

  const switcher = document.getElementById("theme");
  switcher.hidden = false;

  function setTheme(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    redraw();
  }

  function stored(theme) {
    try {
      if (theme === undefined) return localStorage.getItem("sweeper-theme");
      localStorage.setItem("sweeper-theme", theme);
    } catch {
      // A browser may refuse storage to a file; the choice then lasts as long as the page.
    }
    return null;
  }

  switcher.addEventListener("change", (event) => {
    setTheme(event.target.value);
    stored(event.target.value);
  });
  prefersDark.addEventListener("change", redraw);
  const remembered = switcher.querySelector(`input[value="${stored() === "dark" ? "dark" : stored() === "light" ? "light" : "auto"}"]`);
  remembered.checked = true;
  setTheme(remembered.value);

  // --- tables

  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const keyOf = (cell) => (cell.dataset.sort !== undefined ? Number(cell.dataset.sort) : cell.textContent.trim());
  const isMissing = (key) => key === "" || key === "–";

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return collator.compare(a, b);
  }

  function sort(table, column, descending) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => ({ row, key: keyOf(row.cells[column]) }));
    // Missing values come last in either direction.
    rows.sort((a, b) => isMissing(a.key) - isMissing(b.key) || (descending ? -1 : 1) * compare(a.key, b.key));
    body.append(...rows.map(({ row }) => row));
    Array.from(table.tHead.rows[0].cells, (header, i) => {
      if (i === column) header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    });
  }

  function matcher(term, names) {
    const parsed = /^(.*?[^<>=])(<=|>=|<|>|=)(.+)$/.exec(term);
    if (parsed) {
      const [, name, operator, given] = parsed;
      const column = names.findIndex((known) => known.some((text) => text === name || text.endsWith("." + name)));
      const bound = Number(given);
      if (column >= 0) {
        return (row) => {
          const cell = row.cells[column];
          if (operator === "=" && (cell.dataset.sort === undefined || Number.isNaN(bound))) {
            return cell.textContent.trim().toLowerCase() === given;
          }
          if (cell.dataset.sort === undefined) return false;
          const value = Number(cell.dataset.sort);
          return { "<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound, "=": value === bound }[operator];
        };
      }
    }
    return (row) => Array.from(row.cells).some((cell) => cell.textContent.toLowerCase().includes(term));
  }

  document.querySelectorAll(".interactive").forEach((container) => {
    const table = container.querySelector("table");
    const headers = Array.from(table.tHead.rows[0].cells);
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(table, column, header.getAttribute("aria-sort") === "ascending"));
      header.append(button);
    });

    const names = headers.map((header) => [header.textContent, header.title].map((text) => text.trim().toLowerCase()));
    const filter = container.querySelector(".filter");
    const input = filter.querySelector("input");
    const output = filter.querySelector("output");
    const rows = Array.from(table.tBodies[0].rows);
    function apply() {
      const matchers = input.value.toLowerCase().split(/\s+/).filter(Boolean).map((term) => matcher(term, names));
      rows.forEach((row) => { row.hidden = !matchers.every((matches) => matches(row)); });
      const shown = rows.filter((row) => !row.hidden).length;
      output.textContent = `${shown} of ${rows.length} rows`;
    }
    input.addEventListener("input", apply);
    filter.hidden = false;
    apply();
  });

  // A table or a picture that scrolls sideways says so at the edge behind which it goes on.
  document.querySelectorAll(".scroll").forEach((scroll) => {
    function mark() {
      scroll.parentElement.classList.toggle("more-left", scroll.scrollLeft > 1);
      scroll.parentElement.classList.toggle("more-right", scroll.scrollLeft + scroll.clientWidth < scroll.scrollWidth - 1);
    }
    scroll.addEventListener("scroll", mark, { passive: true });
    new ResizeObserver(mark).observe(scroll);
  });

  // --- contents: mark the section that is being read

  const contents = document.querySelector("nav");
  const links = new Map(Array.from(document.querySelectorAll("nav li a"), (link) => [link.hash.slice(1), link]));
  const reading = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      links.forEach((link) => link.removeAttribute("aria-current"));
      const link = links.get(entry.target.id);
      if (link === undefined) return;
      link.setAttribute("aria-current", "true");
      // Of several studies, the contents are longer than the window; on a phone they stay above.
      const [own, whole] = [link, contents].map((element) => element.getBoundingClientRect());
      contents.scrollTop += Math.max(own.bottom - whole.bottom, 0) - Math.max(whole.top - own.top, 0);
    });
  }, { rootMargin: "-10% 0px -80% 0px" });
  links.forEach((_, id) => reading.observe(document.getElementById(id)));
})();

// Draws the page's curves, and saves figures. All names reach the page as text, never as markup.
"use strict";

(() => {
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
  const AXES = {
    step: { label: "step", of: (value) => value },
    epoch: { label: "epoch", of: (value) => value },
    tokens: { label: "tokens", of: (value) => value },
    seconds: { label: "minutes of training", of: (value) => value / 60 },
    flops: { label: "FLOPs, with those of the teachers", of: (value) => value },
  };
  const FOLLOW_EVERY = 3000;

  const charts = [];
  const choice = { axis: "step", smoothing: 0 };
  const root = document.documentElement;
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Numbers.

  // Without zeros at the end of a fraction.
  const trim = (text) => text.replace(/(\.\d*?)0+($|e)/, "$1$2").replace(/\.($|e)/, "$1");

  const short = (value) => {
    if (value == null) return "–";
    const size = Math.abs(value);
    if (size >= 1e15) return trim((value / 1e15).toPrecision(4)) + " P";
    if (size >= 1e12) return trim((value / 1e12).toPrecision(4)) + " T";
    if (size >= 1e9) return trim((value / 1e9).toPrecision(4)) + " G";
    if (size >= 1e6) return trim((value / 1e6).toPrecision(4)) + " M";
    if (size >= 1e4) return trim((value / 1e3).toPrecision(4)) + " k";
    if (size !== 0 && size < 1e-4) return trim(value.toExponential(3));
    return Number.isInteger(value) ? String(value) : value.toPrecision(4);
  };

  const tick = (value) => (value == null ? "" : trim(short(value)));

  // Exponential moving average that does not begin at zero; gaps stay gaps.
  const smoothed = (values, weight) => {
    if (weight === 0) return values;
    let sum = 0;
    let total = 0;
    return values.map((value) => {
      if (value == null) return value;
      sum = weight * sum + (1 - weight) * value;
      total = weight * total + (1 - weight);
      return sum / total;
    });
  };

  // One column of places and one of values for each series, as uPlot reads them. A value that is
  // not there is undefined, a gap within a series null. A value without a place is left out.
  const columns = (series, axis, weight) => {
    const place = (value) => (value == null ? undefined : AXES[axis].of(value));
    const places = series.map((one) => one.x[axis].map(place));
    const all = [...new Set(places.flat().filter(Number.isFinite))].sort((a, b) => a - b);
    const row = new Map(all.map((place, index) => [place, index]));
    const values = series.map((one, number) => {
      const column = new Array(all.length);
      smoothed(one.y, weight).forEach((value, index) => {
        const at = row.get(places[number][index]);
        if (at !== undefined) column[at] = value;
      });
      return column;
    });
    return [all, ...values];
  };

  // Saving.

  const save = (name, type, text) => {
    const address = URL.createObjectURL(new Blob([text], { type }));
    const link = make("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };

  // Comma-separated values by the rules of `report::csv`, so that the same rows are the same bytes
  // as in the files of `--figures`.
  const digits = (value) => {
    const size = Math.abs(value);
    const isFar = size !== 0 && (size < 1e-5 || size >= 1e16);
    return isFar ? value.toExponential().replace("e+", "e") : String(value);
  };

  const cell = (value) => {
    if (value == null) return "";
    const text = typeof value === "number" ? digits(value) : value;
    const isQuoted = /[",\n]/.test(text) || text.trim() !== text;
    return isQuoted ? '"' + text.replaceAll('"', '""') + '"' : text;
  };

  const line = (row) => (row.map(cell).join(",") || (row.length === 1 ? '""' : "")) + "\n";
  const csv = (heads, rows) => [heads, ...rows].map(line).join("");

  // A drawing by itself is black on white.
  const standalone = (svg) => {
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("style", "color:#000;background:#fff");
    return new XMLSerializer().serializeToString(copy);
  };

  const button = (text, onclick) => make("button", { type: "button", textContent: text, onclick });

  const stored = (figure) =>
    JSON.parse(figure.querySelector('script[type="application/json"]').textContent);

  const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

  // The drawing of curves is where scripts are off.
  const drawing = (figure) => {
    const own = figure.querySelector("svg");
    if (own) return own;
    const hidden = figure.querySelector("noscript");
    return parsed(hidden ? hidden.textContent : "").querySelector("svg");
  };

  // Curves that follow a server have grown since they were drawn there.
  const newest = async (figure) => {
    if (!root.dataset.follow || !figure.matches(".curves")) return drawing(figure);
    const page = parsed(await (await fetch("/")).text());
    const found = page.getElementById(figure.id);
    return found ? drawing(found) : null;
  };

  const addButtons = (figure, rows, ...more) => {
    const bar = make("div", { className: "save" });
    if (root.dataset.follow || drawing(figure)) {
      bar.append(button("SVG", async () => {
        const svg = await newest(figure);
        if (svg) save(figure.id + ".svg", "image/svg+xml", standalone(svg));
      }));
    }
    bar.append(button("CSV", () => save(figure.id + ".csv", "text/csv", rows())), ...more);
    figure.append(bar);
  };

  const curveRows = (data) =>
    csv(["series", ...Object.keys(AXES), "value"], data.series.flatMap((one) =>
      one.y.map((value, index) =>
        [one.name, ...Object.keys(AXES).map((axis) => one.x[axis][index]), value])));

  // Charts.

  // A model has the color that it has in every figure of the page.
  const ink = (series) => series.color ?? color("--ink");
  const dash = (series) => DASHES[series.dash % DASHES.length];

  // Curves have points at different places: the legend has the nearest of each.
  const nearest = (plot, series, index) => {
    const values = plot.data[series];
    if (values[index] != null) return index;
    for (let off = 1; off < 400; off += 1) {
      if (values[index - off] != null) return index - off;
      if (values[index + off] != null) return index + off;
    }
    return index;
  };

  // The room of the vertical axis: that of its longest label, which a zoom may make longer.
  const widest = (_, labels) =>
    Math.max(62, 24 + 7.5 * Math.max(0, ...(labels ?? []).map((label) => label.length)));

  // Fine-tunings and runs that are not over have no FLOPs: their charts stay by steps.
  const hasAxis = ({ data }, axis) =>
    data.series.some((one) => one.x[axis].some((value) => value != null));
  const axisOf = (chart) => (hasAxis(chart, choice.axis) ? choice.axis : "step");

  const options = (chart) => {
    const { label } = AXES[axisOf(chart)];
    const axis = (extra) => ({
      stroke: () => color("--soft"),
      grid: { stroke: () => color("--line"), width: 1 },
      ticks: { stroke: () => color("--line"), width: 1 },
      ...extra,
    });
    return {
      width: Math.max(chart.place.clientWidth, 200),
      height: 280,
      scales: { x: { time: false }, y: { distr: chart.isLog ? 3 : 1 } },
      axes: [
        axis({ label, labelSize: 20, size: 34, values: (_, ticks) => ticks.map(tick) }),
        axis({ size: widest, values: (_, ticks) => ticks.map(tick) }),
      ],
      cursor: {
        sync: { key: axisOf(chart), setSeries: false },
        focus: { prox: 24 },
        drag: { x: true, y: false },
        dataIdx: nearest,
      },
      focus: { alpha: 0.35 },
      // Of a color that comes again, with dashes.
      legend: { markers: { dash: (plot, index) =>
        (plot.series[index].dash?.length ? "dashed" : "solid") } },
      series: [
        { label, value: (_, value) => short(value) },
        ...chart.data.series.map((one) => ({
          label: one.name,
          stroke: () => ink(one),
          width: 1.5,
          dash: dash(one).length > 0 ? dash(one) : undefined,
          spanGaps: false,
          points: { show: one.y.length < 40, size: 5 },
          show: !chart.hidden.has(one.name),
          value: (_, value) => short(value),
        })),
      ],
      hooks: { setSeries: [(plot, index, change) => {
        if (index == null || change.show == null) return;
        chart.hidden[change.show ? "delete" : "add"](plot.series[index].label);
      }] },
    };
  };

  // A finger that goes across less than this has touched a place.
  const SHORTEST_DRAG = 10;

  // uPlot knows the mouse alone. One finger across a chart zooms as a mouse does; what begins as a
  // scroll or with a second finger is the browser's, which cancels the first.
  const addTouch = (plot) => {
    let start = null;
    const select = (left, width) =>
      plot.setSelect({ left, width, top: 0, height: plot.over.clientHeight }, false);
    const place = (event) => {
      const { left, width } = plot.over.getBoundingClientRect();
      return Math.min(Math.max(event.clientX - left, 0), width);
    };
    const on = (kind, react) => plot.over.addEventListener(kind, (event) => {
      if (event.pointerType === "touch") react(event);
    });
    on("pointerdown", (event) => {
      start = event.isPrimary ? place(event) : null;
      select(0, 0);
    });
    on("pointermove", (event) => {
      if (start === null || !event.isPrimary) return;
      const end = place(event);
      select(Math.min(start, end), Math.abs(end - start));
      plot.setCursor({ left: end, top: event.clientY - plot.over.getBoundingClientRect().top });
    });
    on("pointerup", () => {
      const { left, width } = plot.select;
      const isDrag = start !== null && width >= SHORTEST_DRAG;
      start = null;
      select(0, 0);
      if (!isDrag) return;
      plot.setScale("x", { min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") });
    });
    on("pointercancel", () => {
      start = null;
      select(0, 0);
    });
  };

  // Measured values stay as they are. A logarithmic axis has no place for zero.
  const fitting = (chart) => {
    const weight = chart.data.measured ? 0 : choice.smoothing;
    const found = columns(chart.data.series, axisOf(chart), weight);
    if (!chart.isLog) return found;
    const positive = (value) => (value == null || value > 0 ? value : null);
    return found.map((column, index) => (index === 0 ? column : column.map(positive)));
  };

  const draw = (chart) => {
    chart.plot?.destroy();
    chart.plot = new uPlot(options(chart), fitting(chart), chart.place);
    addTouch(chart.plot);
  };

  // The part of the horizontal axis that a reader has zoomed to.
  const zoom = ({ plot }) => {
    const places = plot.data[0];
    const { min, max } = plot.scales.x;
    return min > places[0] || max < places[places.length - 1] ? { min, max } : null;
  };

  const refresh = (chart) => {
    const part = zoom(chart);
    chart.plot.setData(fitting(chart), !part);
    if (part) chart.plot.setScale("x", part);
  };

  // Draws a chart anew, with other curves or axes, where the reader has zoomed to.
  const redraw = (chart) => {
    const part = zoom(chart);
    draw(chart);
    if (part) chart.plot.setScale("x", part);
  };

  const addChart = (figure) => {
    const data = stored(figure);
    const chart = { figure, data, place: figure.querySelector(".plot"), hidden: new Set(),
      isLog: data.log };
    const log = button(chart.isLog ? "linear" : "log", () => {
      chart.isLog = !chart.isLog;
      log.textContent = chart.isLog ? "linear" : "log";
      redraw(chart);
    });
    const whole = button("whole", () => draw(chart));
    whole.title = "undo the zoom (or double-click the curves)";
    addButtons(figure, () => curveRows(chart.data), log, whole);
    charts.push(chart);
    return chart;
  };

  let controls = null;
  const addControls = (first) => {
    controls ??= makeControls();
    first.before(controls);
  };
  const makeControls = () => {
    const axis = make("select", { onchange: () => {
      choice.axis = axis.value;
      charts.forEach((chart) => chart.plot && draw(chart));
    } }, ...Object.entries(AXES).map(([value, { label }]) => make("option", { value }, label)));
    axis.id = "axis";
    const smoothing = make("input", { type: "range", min: 0, max: 0.99, step: 0.01, value: 0,
      oninput: () => {
        choice.smoothing = Number(smoothing.value);
        charts.forEach((chart) => chart.plot && refresh(chart));
      } });
    smoothing.id = "smoothing";
    return make("div", { className: "controls" },
      make("label", {}, "by", axis), make("label", {}, "smoothing", smoothing),
      make("span", { className: "hint" },
        "drag to zoom, double-click to undo, click a name to hide it"));
  };

  // Curves are drawn when they come near, and otherwise when there is time.
  const drawAll = () => {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const chart = charts.find((one) => one.place === entry.target);
        if (entry.isIntersecting && !chart.plot) draw(chart);
        if (entry.isIntersecting) near.unobserve(entry.target);
      }
    }, { rootMargin: "600px" });
    charts.forEach((chart) => near.observe(chart.place));
    const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
    const next = () => {
      const chart = charts.find((one) => !one.plot);
      if (!chart) return;
      draw(chart);
      idle(next);
    };
    idle(next);
  };

  // On paper every chart is drawn and no wider than a page, and what is closed is open.
  const PAPER = 660;
  const opened = [];
  const toPaper = () => {
    for (const chart of charts) {
      if (!chart.plot) draw(chart);
      const width = Math.min(chart.plot.width, PAPER);
      if (width < chart.plot.width) chart.plot.setSize({ width, height: 280 });
    }
    for (const details of document.querySelectorAll("main details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  };
  const fromPaper = () => {
    opened.splice(0).forEach((details) => { details.open = false; });
    for (const { plot, place } of charts) {
      const width = Math.max(Math.floor(place.clientWidth), 200);
      if (plot && plot.width !== width) plot.setSize({ width, height: 280 });
    }
  };
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", fromPaper);

  // Takes the points of all curves from the server.
  const take = async (address) => {
    const found = await (await fetch(address)).json();
    for (const chart of charts) {
      const data = found[chart.figure.id];
      if (!data || JSON.stringify(data) === JSON.stringify(chart.data)) continue;
      const names = (of) => JSON.stringify(of.series.map((one) => [one.name, one.color]));
      const isSame = names(data) === names(chart.data);
      const axis = axisOf(chart);
      chart.data = data;
      if (!chart.plot) continue;
      // A zoom is in the units of its axis.
      if (axisOf(chart) !== axis) draw(chart);
      else if (isSame) refresh(chart);
      else redraw(chart);
    }
  };

  const follow = async (address) => {
    try {
      await take(address);
    } catch {
      // The server may come back.
    }
    setTimeout(() => follow(address), FOLLOW_EVERY);
  };

  const addDrawn = (figure) => {
    const { columns, rows } = stored(figure);
    addButtons(figure, () => csv(columns, rows));
  };

  const resized = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const chart = charts.find((one) => one.place === entry.target);
      const width = Math.max(Math.floor(entry.contentRect.width), 200);
      if (chart?.plot && chart.plot.width !== width) chart.plot.setSize({ width, height: 280 });
    }
  });

  const placeControls = () => {
    const first = document.querySelector("figure.curves");
    if (first) addControls(first.closest(".figures") ?? first);
  };

  // Puts a part of the page as the server has it now in the place of the one that is shown. Charts
  // stay as they are, with their zoom and their hidden curves, and what a reader opened is open.
  const replace = (part, shown, before) => {
    document.adoptNode(part);
    const opened = shown ? [...shown.querySelectorAll("details[open] > summary")] : [];
    const titles = opened.map((summary) => summary.textContent);
    for (const details of part.querySelectorAll("details")) {
      details.open = titles.includes(details.querySelector("summary").textContent);
    }
    const added = [];
    for (const figure of part.querySelectorAll("figure.curves")) {
      const chart = charts.find((one) => one.figure.id === figure.id);
      if (chart) {
        chart.figure.querySelector("figcaption").replaceWith(figure.querySelector("figcaption"));
        figure.replaceWith(chart.figure);
      } else {
        added.push(figure);
      }
    }
    if (shown) shown.replaceWith(part);
    else document.querySelector("main").insertBefore(part, before);
    part.querySelectorAll("figure.drawn").forEach(addDrawn);
    for (const figure of added) resized.observe(addChart(figure).place);
  };

  // The markup of each part as the server had it last.
  const served = new Map();

  // Takes the place of everything that the page shows but the points of its curves.
  const renew = async (text) => {
    const page = parsed(text);
    const parts = [...page.querySelectorAll("main > section")];
    const ids = parts.map((part) => part.id);
    document.title = page.title;
    document.querySelector("header").replaceWith(page.querySelector("header"));
    for (const part of parts) {
      const shown = document.querySelector(`main > section[id="${part.id}"]`);
      const markup = part.outerHTML;
      if (shown && served.get(part.id) === markup) continue;
      served.set(part.id, markup);
      const later = ids.slice(ids.indexOf(part.id) + 1);
      const next = [...document.querySelectorAll("main > section")]
        .find((section) => later.includes(section.id));
      replace(part, shown, next ?? null);
    }
    for (const section of document.querySelectorAll("main > section")) {
      if (!ids.includes(section.id)) section.remove();
    }
    for (const chart of charts.filter((one) => !one.figure.isConnected)) {
      chart.plot?.destroy();
      charts.splice(charts.indexOf(chart), 1);
    }
    placeControls();
    await take(root.dataset.follow);
    charts.filter((one) => !one.plot).forEach(draw);
  };

  document.querySelectorAll("figure.drawn").forEach(addDrawn);
  document.querySelectorAll("figure.curves").forEach(addChart);
  placeControls();
  drawAll();
  charts.forEach((chart) => resized.observe(chart.place));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    charts.forEach((chart) => chart.plot?.redraw()));
  if (root.dataset.follow) setTimeout(() => follow(root.dataset.follow), FOLLOW_EVERY);
  // For checks of the page and for readers' own scripts.
  window.report = { charts, choice, renew };
})();

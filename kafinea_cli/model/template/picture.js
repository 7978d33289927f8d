// The picture: drawing a layout, moving and zooming it.

const canvas = byId("canvas");
const drawing = byId("drawing");
const view = { x: 0, y: 0, scale: 1, bounds: boundsOf([]) };

/** Draws a layout. `selected` and `field` are marked. */
function draw(layout, selected, field) {
  const lines = layout.lines.map((line) => drawnLine(line, selected, field));
  const boxes = layout.boxes.map((box) => drawnBox(box, selected, field));
  drawing.replaceChildren(...lines, ...boxes);
  view.bounds = boundsOf(layout.boxes);
  fit();
}

function drawnLine({ from, to, fields, path }, selected, field) {
  const isChosen = from === selected && fields.includes(field);
  const names = fields.map((field) => field.label).join(", ");
  const line = shape("path", { class: isChosen ? "line chosen" : "line", d: path, "marker-end": "url(#arrow)" });
  line.append(shape("title", {}, `${from.label} → ${to.label}: ${names}`));
  line.ends = [from, to];
  return line;
}

function drawnBox(box, selected, field) {
  const isSelected = box.module === selected;
  const drawn = shape("g", {
    class: `box${isSelected ? " selected" : ""}${box.module.is_entity ? "" : " helper"}`,
    transform: `translate(${box.x} ${box.y})`,
    "data-module": box.module.name,
  });
  drawn.append(
    shape("rect", { width: box.width, height: box.height, rx: 6 }),
    linked(box.module, null, headerOf(box)),
    ...box.rows.map((row, place) =>
      linked(box.module, row.field, rowOf(box, row, place, row.field === field)),
    ),
  );
  drawn.module = box.module;
  return drawn;
}

function linked(module, field, parts) {
  return shape("a", { href: addressOf(module, field) }, ...parts);
}

function headerOf(box) {
  const text = shape("text", { x: box.width / 2, y: 21, class: "header" }, box.title);
  return [
    shape("rect", { class: "area", width: box.width, height: BOX.height, rx: 6 }),
    text,
    shape("title", {}, `${box.module.label} (${box.module.name})`),
  ];
}

function rowOf(box, { field, text }, place, isSelected) {
  const y = BOX.height + place * BOX.row;
  const kind = isSelected ? "area selected" : "area";
  return [
    shape("rect", { class: kind, y, width: box.width, height: BOX.row }),
    shape("text", { x: BOX.margin, y: y + 14, class: "row" }, text),
    shape("title", {}, `${field.label} (${field.name})`),
  ];
}

/** Marks one module with its lines, as the pointer is over it. Null: none. */
function highlight(module) {
  const near = new Set([module]);
  for (const line of drawing.querySelectorAll(".line")) {
    const isNear = module !== null && line.ends.includes(module);
    line.classList.toggle("near", isNear);
    if (isNear) line.ends.forEach((end) => near.add(end));
  }
  drawing.classList.toggle("highlighting", module !== null);
  for (const box of drawing.querySelectorAll(".box")) {
    box.classList.toggle("near", near.has(box.module));
  }
}

/** Fades the modules that a search does not find. Null: none. */
function fade(kept) {
  for (const box of drawing.querySelectorAll(".box")) {
    box.classList.toggle("faded", kept !== null && !kept.has(box.module));
  }
}

// Moving and zooming

function fit() {
  const { width, height } = canvas.getBoundingClientRect();
  const { bounds } = view;
  if (!width || !bounds.width) return;
  const whole = Math.min((width - 40) / bounds.width, (height - 40) / bounds.height);
  view.scale = Math.max(0.1, Math.min(1.25, whole));
  view.x = width / 2 - (bounds.x + bounds.width / 2) * view.scale;
  view.y = height / 2 - (bounds.y + bounds.height / 2) * view.scale;
  showView();
}

/** Zooms by a factor, so that a point of the canvas stays where it is. */
function zoom(factor, point = middle()) {
  const scale = Math.max(0.1, Math.min(4, view.scale * factor));
  const change = scale / view.scale;
  view.x = point.x - (point.x - view.x) * change;
  view.y = point.y - (point.y - view.y) * change;
  view.scale = scale;
  showView();
}

function showView() {
  drawing.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
}

function middle() {
  const { width, height } = canvas.getBoundingClientRect();
  return { x: width / 2, y: height / 2 };
}

function pointOf(event) {
  const { left, top } = canvas.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

/** One pointer moves the picture, two zoom it. A click that moved nothing stays a click. */
function followPointers() {
  const pointers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (!pointers.size) moved = 0;
    pointers.set(event.pointerId, pointOf(event));
  });
  window.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = pointOf(event);
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    if (others.length) {
      zoom(distance(now, others[0]) / (distance(before, others[0]) || 1), others[0]);
    } else {
      view.x += now.x - before.x;
      view.y += now.y - before.y;
      showView();
    }
    moved += distance(now, before);
    pointers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  const stopIfMoved = (event) => moved > 4 && event.preventDefault();
  canvas.addEventListener("click", stopIfMoved);
  canvas.addEventListener("dragstart", (event) => event.preventDefault());
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function followWheel(event) {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), pointOf(event));
}

function followHover(event) {
  highlight(event.target.closest?.(".box")?.module ?? null);
}

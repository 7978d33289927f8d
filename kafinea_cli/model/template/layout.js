// Where the boxes of the picture are. The same model always gets the same picture.

const BOX = { height: 32, row: 20, gap: 18, widest: 215, margin: 12 };

const FONTS = { header: "600 13px system-ui, sans-serif", row: "12px system-ui, sans-serif" };

const ruler = document.createElement("canvas").getContext("2d");

function widthOf(text, font) {
  ruler.font = font;
  return ruler.measureText(text).width;
}

/** A text that is cut if it is wider than the widest box. */
function shortened(text, font) {
  const most = BOX.widest - 2 * BOX.margin;
  if (widthOf(text, font) <= most) return text;
  const characters = [...text].slice(0, 60);
  while (widthOf(`${characters.join("")}…`, font) > most) characters.pop();
  return `${characters.join("")}…`;
}

/** A box: `{module, rows, title, x, y, width, height}`; `x`, `y` are its upper left corner. */
function boxOf(module, fields = []) {
  const title = shortened(module.label, FONTS.header);
  const rows = fields.map((field) => ({ field, text: shortened(field.label, FONTS.row) }));
  const widths = [widthOf(title, FONTS.header), ...rows.map(({ text }) => widthOf(text, FONTS.row))];
  const width = Math.max(64, ...widths) + 2 * BOX.margin;
  const height = BOX.height + (rows.length ? rows.length * BOX.row + 6 : 0);
  return { module, title, rows, x: 0, y: 0, width, height };
}

// One module and its neighbours: those that refer to it on the left, those it refers to right.

function layoutAround(module) {
  const fields = [...new Set(referencesFrom(module).map((reference) => reference.field))];
  const centre = boxOf(module, fields);
  const others = referencesTo(module).filter((reference) => reference.from !== module);
  const left = [...grouped(others, (reference) => reference.from)].map(([from, list]) =>
    boxOf(from, list.map((reference) => reference.field)),
  );
  const targets = [...new Set(referencesFrom(module).map((reference) => reference.to))];
  const right = targets.map((target) => boxOf(target));
  const distance = 110;
  centre.y = -centre.height / 2;
  placeColumns(left, -distance, -1);
  placeColumns(right, centre.width + distance, 1);
  return { boxes: [...left, centre, ...right], lines: linesAround(left, centre, right) };
}

/** Puts boxes into columns that grow away from the centre. */
function placeColumns(boxes, edge, direction) {
  const tallest = Math.max(620, Math.sqrt(boxes.reduce(areaAndMore, 0)));
  for (const column of columnsOf(boxes, tallest)) {
    const width = Math.max(...column.map((box) => box.width));
    const height = column.reduce((sum, box) => sum + box.height + BOX.gap, -BOX.gap);
    let y = -height / 2;
    for (const box of column) {
      box.x = direction < 0 ? edge - box.width : edge;
      box.y = y;
      y += box.height + BOX.gap;
    }
    edge += direction * (width + 60);
  }
}

function areaAndMore(sum, box) {
  return sum + (box.height + BOX.gap) * (box.width + 60);
}

function columnsOf(boxes, tallest) {
  const columns = [];
  let height = Infinity;
  for (const box of boxes) {
    if (height + box.height > tallest) {
      columns.push([]);
      height = 0;
    }
    columns.at(-1).push(box);
    height += box.height + BOX.gap;
  }
  return columns;
}

function linesAround(left, centre, right) {
  const boxOfTarget = new Map(right.map((box) => [box.module, box]));
  const incomingLines = left.flatMap((box) =>
    box.rows.map(({ field }, row) => ({
      from: box.module,
      to: centre.module,
      fields: [field],
      path: curve(rowEnd(box, row), { x: centre.x, y: centre.y + BOX.height / 2 }),
    })),
  );
  const fieldRows = centre.rows.map(({ field }) => field);
  const outgoingLines = referencesFrom(centre.module).map(({ field, to }) => {
    const target = boxOfTarget.get(to);
    const end = { x: target.x, y: target.y + BOX.height / 2 };
    const path = curve(rowEnd(centre, fieldRows.indexOf(field)), end);
    return { from: centre.module, to, fields: [field], path };
  });
  return [...incomingLines, ...outgoingLines];
}

/** The right end of a row of a box. */
function rowEnd(box, row) {
  return { x: box.x + box.width, y: box.y + BOX.height + (row + 0.5) * BOX.row };
}

function curve(start, end) {
  const bend = Math.max(40, (end.x - start.x) / 2);
  const middle = `${start.x + bend} ${start.y} ${end.x - bend} ${end.y}`;
  return `M${start.x} ${start.y} C${middle} ${end.x} ${end.y}`;
}

// All modules: a grid in which modules that refer to each other are near.

const CELL = { height: 92, gap: 44 };

function layoutAll(withHubs) {
  const pairs = pairsOf(references.filter(({ to }) => withHubs || !hubs.has(to)));
  const linked = new Set(pairs.flatMap(({ from, to }) => [from, to]));
  const inGrid = model.modules.filter((module) => linked.has(module));
  const boxes = placeGrid(arranged(inGrid, pairs));
  const alone = model.modules.filter((module) => !linked.has(module)).map((module) => boxOf(module));
  placeRows(alone, boundsOf(boxes));
  const box = new Map(boxes.map((one) => [one.module, one]));
  const lines = pairs.map((pair) => ({ ...pair, path: arc(box.get(pair.from), box.get(pair.to)) }));
  return { boxes: [...boxes, ...alone], lines };
}

/** One line for all references from one module to another. A module's own ones have none. */
function pairsOf(list) {
  const between = list.filter(({ from, to }) => from !== to);
  const pairs = [...grouped(between, ({ from, to }) => `${from.name} ${to.name}`).values()];
  return pairs.map((group) => ({
    from: group[0].from,
    to: group[0].to,
    fields: group.map((reference) => reference.field),
  }));
}

/**
 * The modules by their cells, `{module, column, row}`. Those with the most lines begin in the
 * middle. Then two modules change places as long as that makes their lines shorter.
 */
function arranged(list, pairs) {
  const near = new Map(list.map((module) => [module, []]));
  for (const { from, to } of pairs) {
    near.get(from).push(to);
    near.get(to).push(from);
  }
  const inOrder = [...list].sort((a, b) => near.get(b).length - near.get(a).length);
  const cells = cellsFor(list.length);
  const cellOf = new Map(inOrder.map((module, place) => [module, cells[place]]));
  const length = (module) =>
    near.get(module).reduce((sum, other) => sum + apart(cellOf.get(module), cellOf.get(other)), 0);
  for (let round = 0; round < 50 && swapAll(inOrder, cellOf, length); round++);
  return inOrder.map((module) => ({ module, ...cellOf.get(module) }));
}

/** Swaps each two modules once if it helps. Returns whether any were swapped. */
function swapAll(list, cellOf, length) {
  let swapped = false;
  for (let i = 0; i < list.length; i++) {
    for (let j = i + 1; j < list.length; j++) {
      const [a, b] = [list[i], list[j]];
      const before = length(a) + length(b);
      swap(cellOf, a, b);
      if (length(a) + length(b) < before - 1e-9) swapped = true;
      else swap(cellOf, a, b);
    }
  }
  return swapped;
}

function swap(cellOf, a, b) {
  const cell = cellOf.get(a);
  cellOf.set(a, cellOf.get(b));
  cellOf.set(b, cell);
}

/** Cells of a grid, those in its middle first. */
function cellsFor(number) {
  const columns = Math.max(1, Math.round(Math.sqrt(number * 0.65)));
  const cells = Array.from({ length: number }, (_, place) => ({
    column: place % columns,
    row: Math.floor(place / columns),
  }));
  const middleCell = { column: (columns - 1) / 2, row: (Math.ceil(number / columns) - 1) / 2 };
  return cells.sort((a, b) => apart(a, middleCell) - apart(b, middleCell));
}

/** How far apart two cells are. Cells are wider than they are high. */
function apart(a, b) {
  return Math.hypot((a.column - b.column) * 1.7, a.row - b.row);
}

function placeGrid(cells) {
  const boxes = cells.map(({ module, column, row }) => ({ ...boxOf(module), column, row }));
  const columns = grouped(boxes, (box) => box.column);
  let x = 0;
  for (const column of [...columns.keys()].sort((a, b) => a - b)) {
    const width = Math.max(...columns.get(column).map((box) => box.width));
    for (const box of columns.get(column)) {
      box.x = x + (width - box.width) / 2;
      box.y = box.row * CELL.height + (column % 2 ? CELL.height / 2 : 0); // lines pass between
    }
    x += width + CELL.gap;
  }
  return boxes;
}

/** Puts the boxes without a line in rows under the others. */
function placeRows(boxes, bounds) {
  const width = Math.max(bounds.width, 700);
  let x = bounds.x;
  let y = bounds.y + bounds.height + (bounds.height ? 60 : 0);
  for (const box of boxes) {
    if (x > bounds.x && x + box.width > bounds.x + width) {
      x = bounds.x;
      y += box.height + BOX.gap;
    }
    box.x = x;
    box.y = y;
    x += box.width + BOX.gap;
  }
}

/** A bent line between the borders of two boxes, so that two in one row are seen as well. */
function arc(from, to) {
  const [start, end] = [centreOf(from), centreOf(to)];
  const bend = 0.12;
  const control = {
    x: (start.x + end.x) / 2 + (end.y - start.y) * bend,
    y: (start.y + end.y) / 2 - (end.x - start.x) * bend,
  };
  const [first, last] = [borderOf(from, control), borderOf(to, control)];
  return `M${first.x} ${first.y} Q${control.x} ${control.y} ${last.x} ${last.y}`;
}

function centreOf(box) {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/** Where the line from the centre of a box to a point leaves the box. */
function borderOf(box, point) {
  const centre = centreOf(box);
  const x = point.x - centre.x;
  const y = point.y - centre.y;
  const part = Math.min(box.width / 2 / Math.abs(x), box.height / 2 / Math.abs(y), 1);
  return { x: centre.x + x * part, y: centre.y + y * part };
}

function boundsOf(boxes) {
  if (!boxes.length) return { x: 0, y: 0, width: 0, height: 0 };
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}

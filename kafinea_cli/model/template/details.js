// The details of a module: what it refers to, what refers to it, and its fields.

const SHORT_LIST = 6;
const LONG_SECTION = 8;

const details = byId("details");

function showDetails(module, field, filter) {
  details.replaceChildren(...(module ? moduleDetails(module, field, filter) : introduction()));
  const row = details.querySelector("tr.selected");
  if (row) row.scrollIntoView({ block: "center" });
  else details.scrollTop = 0;
}

function introduction() {
  const keys = [
    ["/", "search"],
    ["↑ ↓", "choose a result"],
    ["Enter", "open it"],
    ["Esc", "clear the search, then show all modules"],
    ["+ − 0", "zoom in, zoom out, show everything"],
  ];
  return [
    element("h2", {}, model.instance),
    element("p", {}, "Choose a module in the list or in the picture to see its fields."),
    element(
      "dl",
      { class: "keys" },
      ...keys.flatMap(([key, what]) => [
        element("dt", {}, ...key.split(" ").map((one) => element("kbd", {}, one))),
        element("dd", {}, what),
      ]),
    ),
  ];
}

function moduleDetails(module, field, filter) {
  const shown = module.fields.filter((one) => one === field || passes(one, filter));
  return [
    element("h2", {}, module.label),
    element("p", { class: "note" }, ...factsOf(module)),
    ...referencesSection("Refers to", referencesFrom(module), (reference) => reference.to, module),
    ...referencesSection("Referred to by", referencesTo(module), (reference) => reference.from),
    element("h3", {}, fieldsTitle(shown.length, module.fields.length)),
    element("table", {}, element("tbody", {}, ...shown.map((one) => fieldRow(module, one, field)))),
  ];
}

function factsOf(module) {
  const facts = [
    module.is_entity ? "" : "helper table",
    module.writable ? "" : "read only",
    module.id_prefix ? `ids like ${module.id_prefix}x1` : "",
  ];
  return [element("code", {}, module.name), ...facts.filter(Boolean).map((fact) => ` · ${fact}`)];
}

function fieldsTitle(shown, all) {
  return shown === all ? counted(all, "field") : `${shown} of ${counted(all, "field")}`;
}

/** A list of modules, with the fields that make the references. A long one is folded. */
function referencesSection(title, list, moduleOf, owner = null) {
  if (!list.length) return [];
  const groups = [...grouped(list, moduleOf)];
  const items = groups.map(([other, group]) => {
    const fields = group.map(({ from, field }) => linkTo(owner ?? from, field));
    const names = element("span", { class: "note" }, " ", ...listed(fields));
    return element("li", {}, linkTo(other), names);
  });
  const summary = element("summary", {}, `${title} ${counted(groups.length, "module")}`);
  const folded = element("details", { class: "references" }, summary, element("ul", {}, ...items));
  folded.open = groups.length <= LONG_SECTION;
  return [folded];
}

/** Elements with commas between them. */
function listed(elements) {
  return elements.flatMap((one, place) => (place ? [", ", one] : [one]));
}

function fieldRow(module, field, selected) {
  const marks = [
    field.mandatory ? mark("mandatory") : "",
    field.unique ? mark("unique") : "",
    field.editable ? "" : mark("read only", "quiet"),
  ].filter(Boolean);
  return element(
    "tr",
    { class: field === selected ? "selected" : "", "data-field": field.name },
    element("td", {}, linkTo(module, field), element("code", {}, field.name)),
    element("td", {}, element("span", { class: "type" }, field.type), ...marks, ...moreOf(field)),
  );
}

function mark(text, kind = "") {
  return element("span", { class: `mark ${kind}` }, text);
}

function moreOf(field) {
  const more = [];
  if (field.refers_to.length) more.push(element("div", {}, "→ ", ...listed(field.refers_to.map(target))));
  if (field.values.length) more.push(valuesOf(field.values));
  if (field.default) more.push(element("div", { class: "note" }, `default: ${field.default}`));
  return more;
}

function target(name) {
  const module = modules.get(name);
  if (module) return linkTo(module);
  return element("span", { class: "note", title: "This user cannot read this module" }, name);
}

/** The values of a picklist. Many are only made when they are asked for. */
function valuesOf(values) {
  if (values.length <= SHORT_LIST) return element("div", { class: "values" }, ...values.map(valueOf));
  const summary = element("summary", {}, counted(values.length, "value"));
  const list = element("details", { class: "values" }, summary);
  const open = () => list.append(...values.map(valueOf));
  list.addEventListener("toggle", open, { once: true });
  return list;
}

function valueOf({ value, label }) {
  const shown = element("span", { class: "value" }, label || "(empty)");
  if (value !== label) shown.append(element("code", {}, value || "(empty)"));
  return shown;
}
